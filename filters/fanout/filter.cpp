// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-fanout-filter: repeats every write on N destinations.
#include "common/nbdkit/filter.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/nbdkit/params.hpp"
#include "common/stats/ticker.hpp"
#include "common/util/error.hpp"
#include "filters/fanout/parameters.hpp"
#include "filters/fanout/next_layer.hpp"
#include "filters/fanout/fanout_server.hpp"

namespace fanout {

namespace {

class Connection {
 public:
  // `all`: held for the requests of all connections; nothing if each has its own, or needs none.
  Connection(Shared &shared, std::string export_name, int thread_model, std::mutex &all)
      : shared_(shared), export_name_(std::move(export_name)) {
    if (thread_model == NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS) serial_ = &own_;
    if (thread_model < NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS) serial_ = &all;
  }

  // nbdkit's `next` is the same from here to finalize.
  void prepare(nbdkit::Next next, bool) {
    if (!next.can_write()) {
      util::fail(EROFS, "fanout: the primary is read-only: there is nothing to fan out");
    }
    uint64_t size = next.get_size();
    primary_.emplace(next, serial_);
    place_ = shared_.join(size, export_name_, [this](std::span<std::byte> buffer, uint64_t offset) {
      primary_->read(buffer, offset);
    });
  }

  // On SIGTERM close() is not called.
  void finalize(nbdkit::Next) {
    if (place_) shared_.leave(*place_);
    place_.reset();
  }

  nbdkit::BlockSize block_size(nbdkit::Next) {
    constexpr uint32_t page = 4096;
    nbdkit::BlockSize size = primary_->block_size;
    uint32_t minimum = fan().minimum_block();
    if (minimum == 1) return size;
    if (size.maximum == 0) size = {1, page, UINT32_MAX};
    size.minimum = std::max(size.minimum, minimum);
    size.preferred = std::max({size.preferred, minimum, 512u});
    size.maximum = std::max(size.maximum, size.preferred);
    return size;
  }

  bool can_flush(nbdkit::Next) { return primary_->can_flush || fan().can_flush(); }
  nbdkit::Fua can_fua(nbdkit::Next next) {
    return can_flush(next) ? nbdkit::Fua::native : nbdkit::Fua::none;
  }
  nbdkit::Zero can_zero(nbdkit::Next) { return nbdkit::Zero::native; }
  bool can_fast_zero(nbdkit::Next) { return false; }
  // A trim leaves open what is read afterwards, and each server would choose for itself. So that
  // all stay equal, it is done as a zero that may deallocate; where that is slow no trim is
  // offered.
  bool can_trim(nbdkit::Next) {
    return primary_->can_zero == nbdkit::Zero::native && fan().can_zero();
  }

  void pread(nbdkit::Next, std::span<std::byte> buffer, uint64_t offset) {
    primary_->read(buffer, offset);
  }

  void pwrite(nbdkit::Next, std::span<const std::byte> buffer, uint64_t offset, uint32_t flags) {
    bool fua = (flags & NBDKIT_FLAG_FUA) != 0;
    claim();
    fan().write(buffer, offset, fua, [&] { primary_->write(buffer, offset, fua); });
  }

  void zero(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t flags) {
    bool fua = (flags & NBDKIT_FLAG_FUA) != 0;
    uint32_t may_trim = flags & NBDKIT_FLAG_MAY_TRIM;
    claim();
    fan().zero(count, offset, may_trim != 0 ? 0 : uint32_t{nbd::no_hole}, fua,
               [&] { primary_->zero(count, offset, may_trim, fua); });
  }

  void trim(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags) {
    zero(next, count, offset, (flags & NBDKIT_FLAG_FUA) | NBDKIT_FLAG_MAY_TRIM);
  }

  void flush(nbdkit::Next) {
    if (!place_) return primary_->flush();
    fan().flush([&] { primary_->flush(); });
  }

  void extents(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t, nbdkit::ExtentList &list) {
    for (const auto &extent : primary_->extents(count, offset)) list.add(extent);
  }

  void cache(nbdkit::Next, uint32_t count, uint64_t offset) { primary_->cache(count, offset); }

 private:
  Fan &fan() { return shared_.fan(); }
  void claim() {
    if (claimed_) return;
    shared_.claim(export_name_);
    claimed_ = true;
  }

  Shared &shared_;
  const std::string export_name_;
  std::mutex own_;
  std::mutex *serial_ = nullptr;
  std::atomic<bool> claimed_ = false;
  std::optional<Primary> primary_;
  std::optional<Readers::Id> place_;  // nothing: this export is none of the destinations'
};

// nbdkit's reading of values.
class NbdkitValues : public Values {
 public:
  unsigned number(const std::string &key, const std::string &value, unsigned min,
                  unsigned max) const override {
    return nbdkit::parse_unsigned(key, value, min, max);
  }
  uint64_t size(const std::string &key, const std::string &value, uint64_t min,
                uint64_t max) const override {
    return nbdkit::parse_size(key, value, min, max);
  }
  std::chrono::milliseconds seconds(const std::string &key,
                                    const std::string &value) const override {
    constexpr uint64_t shortest = 100, longest = 86'400'000;  // milliseconds
    return std::chrono::milliseconds(nbdkit::parse_seconds(key, value, shortest, longest));
  }
  size_t choice(const std::string &key, const std::string &value,
                std::initializer_list<std::string_view> words) const override {
    return nbdkit::parse_choice(key, value, words);
  }
  std::string path(const std::string &value) const override { return nbdkit::absolute_path(value); }
};

class Filter {
 public:
  static constexpr const char *name = "fanout";
  static constexpr const char *longname = "nbdkit fanout filter";
  static constexpr const char *description = "repeat every write on other NBD servers";
  static constexpr const char *config_help = Parameters::help;

  bool config(const std::string &key, const std::string &value) {
    return parameters_.set(key, value);
  }
  void config_complete() { parameters_.complete(); }

  // What is wrong with a destination is said here: later it would leave the client hanging.
  void get_ready(int thread_model) {
    thread_model_ = thread_model;
    shared_ =
        std::make_unique<Shared>(parameters_.destinations(), parameters_.common(), nbdkit::log());
  }

  void after_fork(nbdkit::Backend backend) {
    shared_->start([this, backend]() -> Readers::Read {
      // A plugin that has one connection at a time keeps a client out as long as ours is open.
      if (thread_model_ == NBDKIT_THREAD_MODEL_SERIALIZE_CONNECTIONS) return {};
      auto own = std::make_shared<Own>(backend, thread_model_, serial_);
      return [own](std::span<std::byte> buffer, uint64_t offset) {
        own->primary.read(buffer, offset);
      };
    });
    ticker_.emplace(std::chrono::seconds(2), [this] { shared_->tick(); });
  }
  void cleanup(nbdkit::Backend) {
    shared_->finish();
    ticker_.reset();
  }

  std::unique_ptr<Connection> open(nbdkit::Opener &opener, bool readonly,
                                   const std::string &export_name, bool) {
    opener.next(readonly, export_name);
    return std::make_unique<Connection>(*shared_, export_name, thread_model_, serial_);
  }

 private:
  NbdkitValues values_;
  Parameters parameters_{values_};
  int thread_model_ = NBDKIT_THREAD_MODEL_PARALLEL;
  std::mutex
      serial_;  // see Connection; for a plugin that takes one request at a time, over all connections
  std::unique_ptr<Shared> shared_;
  std::optional<stats::Ticker> ticker_;
};

}  // namespace

}  // namespace fanout

REPLICATE_REGISTER_FILTER(fanout::Filter)
