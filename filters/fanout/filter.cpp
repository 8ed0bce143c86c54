// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-fanout-filter: repeats every write on N destinations.
#include "common/nbdkit/filter.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/nbd/handshake.hpp"
#include "common/nbdkit/lower_disk.hpp"
#include "common/stats/ticker.hpp"
#include "common/util/error.hpp"
#include "common/util/mutex.hpp"
#include "filters/fanout/background_primary.hpp"
#include "filters/fanout/fanout_server.hpp"
#include "filters/fanout/parameters.hpp"

namespace fanout {

namespace {

class Connection {
 public:
  // all: as in nbdkit::RequestLock.
  Connection(FanoutServer &server, std::string export_name, int thread_model, util::Mutex &all)
      : server_(server), export_name_(std::move(export_name)), lock_(thread_model, all) {}

  // nbdkit's `next` is valid from here to finalize.
  void prepare(nbdkit::Next next, bool) {
    if (!next.can_write()) {
      util::fail(EROFS, "fanout: the primary is read-only: the filter needs a writable one");
    }
    primary_.emplace(next, &lock_);
    reader_ = server_.join(
        can().size, export_name_,
        [this](std::span<std::byte> buffer, uint64_t offset) { primary_->read(buffer, offset); });
  }

  // Not in the destructor: nbdkit does not call close() after SIGTERM.
  void finalize() {
    if (auto reader = std::exchange(reader_, {})) server_.leave(*reader);
  }

  nbdkit::BlockSize block_size(nbdkit::Next) {
    constexpr uint32_t page = 4096;
    nbdkit::BlockSize size = can().block_size;
    uint32_t minimum = broadcaster().minimum_block();
    if (minimum == 1) return size;
    if (size.maximum == 0) size = {1, page, UINT32_MAX};
    size.minimum = std::max(size.minimum, minimum);
    size.preferred = std::max({size.preferred, minimum, 512u});
    size.maximum = std::max(size.maximum, size.preferred);
    return size;
  }

  bool can_flush(nbdkit::Next) { return can().flush || broadcaster().can_flush(); }
  nbdkit::Fua can_fua(nbdkit::Next next) {
    return can_flush(next) ? nbdkit::Fua::native : nbdkit::Fua::none;
  }
  nbdkit::Zero can_zero(nbdkit::Next) { return nbdkit::Zero::native; }
  bool can_fast_zero(nbdkit::Next) { return false; }
  // A trim leaves undefined what is read afterwards, so the copies could differ. It is carried out
  // as a zero that may deallocate; where that is slow, trim is not offered.
  bool can_trim(nbdkit::Next) { return can().native_zero && broadcaster().can_zero(); }

  void pread(nbdkit::Next, std::span<std::byte> buffer, uint64_t offset) {
    primary_->read(buffer, offset);
  }

  void pwrite(nbdkit::Next, std::span<const std::byte> buffer, uint64_t offset, uint32_t flags) {
    bool fua = (flags & NBDKIT_FLAG_FUA) != 0;
    claim();
    broadcaster().write(buffer, offset, fua, [&] { primary_->write(buffer, offset, fua); });
  }

  void zero(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t flags) {
    bool fua = (flags & NBDKIT_FLAG_FUA) != 0;
    uint32_t may_trim = flags & NBDKIT_FLAG_MAY_TRIM;
    claim();
    broadcaster().zero(count, offset, may_trim != 0 ? 0 : uint32_t{nbd::no_hole}, fua, [&] {
      primary_->zero({offset, count}, may_trim, fua);
    });
  }

  void trim(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags) {
    zero(next, count, offset, (flags & NBDKIT_FLAG_FUA) | NBDKIT_FLAG_MAY_TRIM);
  }

  void flush(nbdkit::Next) {
    if (!reader_) return primary_->flush();
    broadcaster().flush([&] { primary_->flush(); });
  }

  void extents(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t, nbdkit::ExtentList &list) {
    for (const auto &extent : primary_->extents({offset, count})) list.add(extent);
  }

  void cache(nbdkit::Next, uint32_t count, uint64_t offset) { primary_->cache(count, offset); }

 private:
  const nbdkit::LowerAbilities &can() const { return primary_->can(); }
  Broadcaster &broadcaster() { return server_.broadcaster(); }
  void claim() {
    if (claimed_) return;
    server_.claim(export_name_);
    claimed_ = true;
  }

  FanoutServer &server_;
  const std::string export_name_;
  nbdkit::RequestLock lock_;  // destinations that catch up read from their own threads
  std::atomic<bool> claimed_ = false;
  std::optional<nbdkit::LowerDisk> primary_;
  std::optional<PrimaryReaders::Id> reader_;  // nothing: the destinations hold another export
};

class Filter {
 public:
  static constexpr const char *name = "fanout";
  static constexpr const char *longname = "nbdkit fanout filter";
  static constexpr const char *description = "repeat every write on other NBD servers";
  static constexpr const char *config_help = Parameters::help;

  static nbdkit::Libraries libraries() { return {{"libnbd", nbd::library_version()}}; }

  bool config(const std::string &key, const std::string &value) {
    return parameters_.set(key, value);
  }
  void config_complete() { parameters_.complete(); }

  // Probes the destinations, so that nbdkit does not start with one that is not usable.
  void get_ready(int thread_model) {
    thread_model_ = thread_model;
    server_ = std::make_unique<FanoutServer>(parameters_.settings(), nbdkit::log());
  }

  void after_fork(nbdkit::Backend backend) {
    server_->start([this, backend](uint64_t size) -> PrimaryReaders::Read {
      // Such a plugin keeps clients out as long as the background connection is open.
      if (thread_model_ == NBDKIT_THREAD_MODEL_SERIALIZE_CONNECTIONS) return {};
      auto primary = std::make_shared<BackgroundPrimary>(backend, thread_model_, serial_, size);
      return [primary](std::span<std::byte> buffer, uint64_t offset) {
        primary->read(buffer, offset);
      };
    });
    ticker_.emplace(std::chrono::seconds(2), [this] { server_->tick(); });
  }
  void cleanup(nbdkit::Backend) {
    server_->finish();
    ticker_.reset();
  }

  std::unique_ptr<Connection> open(nbdkit::Opener &opener, bool readonly,
                                   const std::string &export_name, bool) {
    opener.next(readonly, export_name);
    return std::make_unique<Connection>(*server_, export_name, thread_model_, serial_);
  }

 private:
  Parameters parameters_;
  int thread_model_ = NBDKIT_THREAD_MODEL_PARALLEL;
  util::Mutex serial_;  // for a plugin that takes one request at a time, over all connections
  std::unique_ptr<FanoutServer> server_;
  std::optional<stats::Ticker> ticker_;
};

}  // namespace

}  // namespace fanout

REPLICATE_REGISTER_FILTER(fanout::Filter)
