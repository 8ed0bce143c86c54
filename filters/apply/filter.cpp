// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-apply-filter: lets no client write what is not in the delta, and remembers what is owed.
#include "common/nbdkit/filter.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "common/nbd/uri.hpp"
#include "common/nbdkit/params.hpp"
#include "common/stats/ticker.hpp"
#include "common/util/error.hpp"
#include "common/util/sample.hpp"
#include "filters/apply/job/job.hpp"

namespace apply {

namespace {

// What the layer below can do, asked once: nbdkit insists on the question before the use.
struct Abilities {
  explicit Abilities(nbdkit::Next next)
      : write(next.can_write()),
        flush(next.can_flush()),
        zero(write && next.can_zero() != nbdkit::Zero::none),
        fast_zero(zero && next.can_fast_zero()),
        native_fua(write && next.can_fua() == nbdkit::Fua::native),
        multi_conn(next.can_multi_conn()),
        minimum_block(std::max(next.block_size().minimum, 1u)),
        size(next.get_size()) {}
  bool write, flush, zero, fast_zero, native_fua, multi_conn;
  uint32_t minimum_block;
  uint64_t size;
};

class Below : public Destination {
 public:
  explicit Below(nbdkit::Next next) : next_(next), can_(next) {}
  const Abilities &can() const { return can_; }

  uint64_t size() const override { return can_.size; }
  uint32_t minimum_block() const override { return can_.minimum_block; }
  void read(std::span<std::byte> buffer, uint64_t offset) override { next_.pread(buffer, offset); }

  void write(std::span<const std::byte> buffer, uint64_t offset, bool fua) override {
    next_.pwrite(buffer, offset, fua ? NBDKIT_FLAG_FUA : 0);
  }

  void zero(extents::Range range, ZeroFlags flags) override {
    uint32_t bits = (flags.fua ? NBDKIT_FLAG_FUA : 0) |
                    (flags.may_trim ? NBDKIT_FLAG_MAY_TRIM : 0) |
                    (flags.fast ? NBDKIT_FLAG_FAST_ZERO : 0);
    // Never more at once: nbdkit 1.32 loses what is beyond 64 MiB if the plugin cannot zero after
    // all.
    constexpr uint64_t most = 32u << 20;
    for (uint64_t at = range.offset; at < range.end();) {
      uint64_t count = std::min(can_.zero ? most : zeroes.size(), range.end() - at);
      if (can_.zero) {
        next_.zero(static_cast<uint32_t>(count), at, bits);
      } else {
        next_.pwrite(std::span(zeroes).first(count), at, bits & NBDKIT_FLAG_FUA);
      }
      at += count;
    }
  }

  void flush() override {
    if (can_.flush) next_.flush();
  }

  bool native_fua() const override { return can_.native_fua; }
  bool flush_covers_all() const override { return can_.multi_conn || !can_.flush; }

 private:
  static constexpr std::array<std::byte, 1u << 18> zeroes{};
  nbdkit::Next next_;
  const Abilities can_;
};

class Connection {
 public:
  explicit Connection(Job &job) : job_(job) {}

  // nbdkit's `next` is the same from here to finalize.
  void prepare(nbdkit::Next next, bool) {
    below_.emplace(next);
    if (below_->can().write) client_ = job_.join(*below_);
  }

  void finalize(nbdkit::Next) {
    if (client_) client_->finish();
  }

  // We zero by writing where the layer below cannot.
  nbdkit::Zero can_zero(nbdkit::Next) { return nbdkit::Zero::native; }
  bool can_fast_zero(nbdkit::Next) { return below_->can().fast_zero; }
  bool can_trim(nbdkit::Next next) {
    return below_->can().zero && next.can_zero() == nbdkit::Zero::native;
  }

  void pwrite(nbdkit::Next, std::span<const std::byte> buffer, uint64_t offset, uint32_t flags) {
    client_->write(buffer, offset, (flags & NBDKIT_FLAG_FUA) != 0);
  }

  void zero(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t flags) {
    client_->zero({offset, count}, {.fua = (flags & NBDKIT_FLAG_FUA) != 0,
                                    .may_trim = (flags & NBDKIT_FLAG_MAY_TRIM) != 0,
                                    .fast = (flags & NBDKIT_FLAG_FAST_ZERO) != 0});
  }

  // What is trimmed may read as anything, old bytes among them: a zero that may leave a hole is as
  // cheap, and never wrong.
  void trim(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t flags) {
    client_->zero({offset, count},
                  {.fua = (flags & NBDKIT_FLAG_FUA) != 0, .may_trim = true, .fast = false});
  }

  void flush(nbdkit::Next) {
    if (client_) {
      client_->flush();
    } else {
      below_->flush();
    }
  }

 private:
  Job &job_;
  std::optional<Below> below_;
  std::unique_ptr<Job::Client> client_;  // nothing if the connection cannot write
};

class Filter {
 public:
  static constexpr const char *name = "apply";
  static constexpr const char *longname = "nbdkit apply filter";
  static constexpr const char *description =
      "write only what is in a delta, and remember what is owed, at the destination";
  static constexpr const char *config_help =
      "apply-from=<URI>|<FILE>    (required) The delta view of the source, or its map as\n"
      "                           printed by nbdinfo --map --json.\n"
      "apply-state=<FILE>         (required) What the destination holds and what is owed.\n"
      "apply-destination=<NAME>   What the state calls the destination.\n"
      "apply-verify=<PERCENT>     Compare this share of what has not changed with the source.\n"
      "apply-stats=<FILE>         Counters and progress for Prometheus.\n"
      "apply-connect-timeout=<SECONDS>   For connecting to the source (default: 10).\n"
      "apply-timeout=<SECONDS>    For each request to the source (default: 60).";

  bool config(const std::string &key, const std::string &value) {
    if (key == "apply-from") {
      from_ = is_uri(value) ? nbd::absolute_uri(value) : nbdkit::absolute_path(value);
    } else if (key == "apply-state") {
      settings_.state_path = nbdkit::absolute_path(value);
    } else if (key == "apply-destination") {
      if (value.empty()) util::fail(EINVAL, "apply-destination=: must be a name");
      settings_.destination = value;
    } else if (key == "apply-verify") {
      settings_.verify = util::parse_percent(key, value);
    } else if (key == "apply-stats") {
      settings_.stats_path = nbdkit::absolute_path(value);
    } else if (key == "apply-connect-timeout") {
      timeouts_.connect = seconds(key, value);
    } else if (key == "apply-timeout") {
      timeouts_.request = seconds(key, value);
    } else {
      return false;
    }
    return true;
  }

  void config_complete() {
    if (from_.empty()) {
      util::fail(EINVAL,
                 "apply-from is required: the URI of the source's delta view, or a file "
                 "with its map");
    }
    if (settings_.state_path.empty()) {
      util::fail(EINVAL,
                 "apply-state is required: a file, which need not exist yet, that belongs "
                 "to this destination");
    }
  }

  void get_ready(int thread_model) {
    settings_.background = thread_model == NBDKIT_THREAD_MODEL_PARALLEL;
    job_ = std::make_unique<Job>(make_source(from_, timeouts_), settings_, nbdkit::log());
  }

  void after_fork(nbdkit::Backend) {
    ticker_.emplace(std::chrono::seconds(2), [this] { job_->tick(); });
  }
  void cleanup(nbdkit::Backend) { ticker_.reset(); }

  // One state is of one destination: the default export.
  void list_exports(nbdkit::LowerExports &, bool, bool, nbdkit::ExportList &list) { list.add(""); }

  std::unique_ptr<Connection> open(nbdkit::Opener &opener, bool readonly, const std::string &name,
                                   bool) {
    if (!name.empty()) {
      util::fail(ENOENT,
                 "there is no export \"{}\": an apply filter has one destination, the default "
                 "export; connect without a name",
                 name);
    }
    opener.next(readonly, name);
    return std::make_unique<Connection>(*job_);
  }

 private:
  static std::chrono::milliseconds seconds(const std::string &key, const std::string &value) {
    constexpr uint64_t shortest = 100, longest = 86'400'000;  // milliseconds
    return std::chrono::milliseconds(nbdkit::parse_seconds(key, value, shortest, longest));
  }

  std::string from_;
  Settings settings_;
  Timeouts timeouts_;
  std::unique_ptr<Job> job_;
  std::optional<stats::Ticker> ticker_;
};

}  // namespace

}  // namespace apply

REPLICATE_REGISTER_FILTER(apply::Filter)
