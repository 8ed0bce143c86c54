// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-fanout-filter: repeats every write on N destinations.
#include "common/nbdkit/filter.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "common/nbdkit/params.hpp"
#include "common/util/error.hpp"
#include "filters/fanout/shared.hpp"

namespace fanout {

namespace {

// The layer below, asked once what it can do, and written to as it wants it.
class Primary {
 public:
  explicit Primary(nbdkit::Next next)
      : can_flush(next.can_flush()),
        can_zero(next.can_zero()),
        fua(next.can_fua()),
        block_size(next.block_size()) {}

  void write(nbdkit::Next next, std::span<const std::byte> buffer, uint64_t offset,
             bool durable) const {
    next.pwrite(buffer, offset, fua_flag(durable));
    flush_instead_of_fua(next, durable);
  }

  // In steps of 32 MiB: nbdkit 1.32 zeroes only the first 64 MiB for a plugin that cannot zero.
  void zero(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags,
            bool durable) const {
    constexpr uint32_t step = 32u << 20;
    static constexpr std::array<std::byte, 65536> zeroes = {};
    for (uint32_t part; count > 0; count -= part, offset += part) {
      if (can_zero == nbdkit::Zero::none) {
        part = std::min<uint32_t>(count, zeroes.size());
        next.pwrite(std::span(zeroes).first(part), offset, fua_flag(durable));
      } else {
        part = std::min(count, step);
        next.zero(part, offset, flags | fua_flag(durable));
      }
    }
    flush_instead_of_fua(next, durable);
  }

  void flush(nbdkit::Next next) const {
    if (can_flush) next.flush();
  }

  const bool can_flush;
  const nbdkit::Zero can_zero;
  const nbdkit::Fua fua;
  const nbdkit::BlockSize block_size;

 private:
  uint32_t fua_flag(bool durable) const {
    return durable && fua == nbdkit::Fua::native ? NBDKIT_FLAG_FUA : 0;
  }
  void flush_instead_of_fua(nbdkit::Next next, bool durable) const {
    if (durable && fua != nbdkit::Fua::native) flush(next);
  }
};

class Connection {
 public:
  Connection(Shared &shared, std::string export_name)
      : shared_(shared), export_name_(std::move(export_name)) {}

  void prepare(nbdkit::Next next, bool) {
    if (!next.can_write()) {
      util::fail(EROFS, "fanout: the primary is read-only: there is nothing to fan out");
    }
    uint64_t size = next.get_size();
    primary_.emplace(next);
    session_ = shared_.session(size);
  }

  // On SIGTERM close() is not called.
  void finalize(nbdkit::Next) {
    session_.reset();
    shared_.stats().write_anyway();
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

  void pwrite(nbdkit::Next next, std::span<const std::byte> buffer, uint64_t offset,
              uint32_t flags) {
    bool fua = (flags & NBDKIT_FLAG_FUA) != 0;
    claim();
    fan().write(buffer, offset, fua, [&] { primary_->write(next, buffer, offset, fua); });
    shared_.stats().write_if_due();
  }

  void zero(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags) {
    bool fua = (flags & NBDKIT_FLAG_FUA) != 0;
    uint32_t may_trim = flags & NBDKIT_FLAG_MAY_TRIM;
    claim();
    fan().zero(count, offset, may_trim != 0 ? 0 : uint32_t{nbd::no_hole}, fua,
               [&] { primary_->zero(next, count, offset, may_trim, fua); });
    shared_.stats().write_if_due();
  }

  void trim(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags) {
    zero(next, count, offset, (flags & NBDKIT_FLAG_FUA) | NBDKIT_FLAG_MAY_TRIM);
  }

  void flush(nbdkit::Next next) {
    fan().flush([&] { primary_->flush(next); });
    shared_.stats().write_if_due();
  }

 private:
  Fan &fan() { return session_->fan(); }
  void claim() {
    if (claimed_) return;
    shared_.claim(export_name_);
    claimed_ = true;
  }

  Shared &shared_;
  const std::string export_name_;
  std::atomic<bool> claimed_ = false;
  std::optional<Primary> primary_;
  std::shared_ptr<Session> session_;
};

class Filter {
 public:
  static constexpr const char *name = "fanout";
  static constexpr const char *longname = "nbdkit fanout filter";
  static constexpr const char *description = "repeat every write on other NBD servers";
  static constexpr const char *config_help =
      "fanout-dest=<URI>          (required) A destination; may be given again and again.\n"
      "fanout-name=<NAME>         What messages call it (default: the URI).\n"
      "The next four apply to the fanout-dest before them, or, before the first, to all:\n"
      "fanout-concurrency=<N>     Requests in flight, 1 to 256 (default: 16).\n"
      "fanout-connections=<N>     Connections, 1 to 16, where multi-conn is offered (default: 4).\n"
      "fanout-connect-timeout=<SECONDS>   For connecting (default: 10).\n"
      "fanout-timeout=<SECONDS>   For each request (default: 60).\n"
      "fanout-stats=<FILE>        Counters of all destinations for Prometheus.";

  bool config(const std::string &key, const std::string &value) {
    constexpr uint64_t shortest = 100, longest = 86'400'000;  // milliseconds
    Settings &settings = list_.current();
    if (key == "fanout-dest") {
      list_.add(value);
    } else if (key == "fanout-name") {
      list_.set_name(value);
    } else if (key == "fanout-concurrency") {
      settings.concurrency = nbdkit::parse_unsigned(key, value, 1, 256);
    } else if (key == "fanout-connections") {
      settings.connections = nbdkit::parse_unsigned(key, value, 1, 16);
    } else if (key == "fanout-connect-timeout") {
      settings.connect_timeout =
          std::chrono::milliseconds(nbdkit::parse_seconds(key, value, shortest, longest));
    } else if (key == "fanout-timeout") {
      settings.request_timeout =
          std::chrono::milliseconds(nbdkit::parse_seconds(key, value, shortest, longest));
    } else if (key == "fanout-stats") {
      stats_path_ = nbdkit::absolute_path(value);
    } else if (key.starts_with("fanout-")) {
      util::fail(EINVAL, "unknown parameter {}: see nbdkit-fanout-filter(1)", key);
    } else {
      return false;
    }
    return true;
  }

  void config_complete() { list_.complete(); }

  // What is wrong with a destination is said here: later it would leave the client hanging.
  void get_ready(int) {
    probe(list_.list());
    shared_ = std::make_unique<Shared>(list_.list(), stats_path_, nbdkit::log());
  }

  std::unique_ptr<Connection> open(nbdkit::Opener &opener, bool readonly,
                                   const std::string &export_name, bool) {
    opener.next(readonly, export_name);
    return std::make_unique<Connection>(*shared_, export_name);
  }

 private:
  SettingsList list_;
  std::string stats_path_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace

}  // namespace fanout

REPLICATE_REGISTER_FILTER(fanout::Filter)
