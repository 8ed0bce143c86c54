// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-apply-filter: lets no client write what is not in the delta, and remembers what is owed.
#include "common/nbdkit/filter.hpp"

#include <array>
#include <memory>
#include <string>

#include "common/nbd/uri.hpp"
#include "common/nbdkit/params.hpp"
#include "common/util/error.hpp"
#include "filters/apply/job.hpp"

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
        multi_conn(next.can_multi_conn()) {}
  bool write, flush, zero, fast_zero, native_fua, multi_conn;
};

class Below : public Destination {
 public:
  Below(nbdkit::Next next, const Abilities &can) : next_(next), can_(can) {}

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

 private:
  static constexpr std::array<std::byte, 1u << 18> zeroes{};
  nbdkit::Next next_;
  const Abilities &can_;
};

class Connection {
 public:
  explicit Connection(Job &job) : job_(job) {}

  void prepare(nbdkit::Next next, bool) {
    can_.emplace(next);
    if (can_->write) client_ = job_.join(next.get_size(), can_->multi_conn || !can_->flush);
  }

  void finalize(nbdkit::Next next) {
    if (!client_) return;
    Below below(next, *can_);
    client_->finish(below);
  }

  // We zero by writing where the layer below cannot.
  nbdkit::Zero can_zero(nbdkit::Next) { return nbdkit::Zero::native; }
  bool can_fast_zero(nbdkit::Next) { return can_->fast_zero; }
  bool can_trim(nbdkit::Next next) { return can_->zero && next.can_zero() == nbdkit::Zero::native; }

  void pwrite(nbdkit::Next next, std::span<const std::byte> buffer, uint64_t offset,
              uint32_t flags) {
    Below below(next, *can_);
    client_->write(below, buffer, offset, (flags & NBDKIT_FLAG_FUA) != 0);
  }

  void zero(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags) {
    Below below(next, *can_);
    client_->zero(below, {offset, count},
                  {.fua = (flags & NBDKIT_FLAG_FUA) != 0,
                   .may_trim = (flags & NBDKIT_FLAG_MAY_TRIM) != 0,
                   .fast = (flags & NBDKIT_FLAG_FAST_ZERO) != 0});
  }

  // What is trimmed may read as anything, old bytes among them: a zero that may leave a hole is as
  // cheap, and never wrong.
  void trim(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags) {
    Below below(next, *can_);
    client_->zero(below, {offset, count},
                  {.fua = (flags & NBDKIT_FLAG_FUA) != 0, .may_trim = true, .fast = false});
  }

  void flush(nbdkit::Next next) {
    Below below(next, *can_);
    if (client_) {
      client_->flush(below);
    } else {
      below.flush();
    }
  }

 private:
  Job &job_;
  std::optional<Abilities> can_;
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
      "apply-state=<FILE>         (required) What the destination holds and what is owed.";

  bool config(const std::string &key, const std::string &value) {
    if (key == "apply-from") {
      from_ = is_uri(value) ? nbd::absolute_uri(value) : nbdkit::absolute_path(value);
    } else if (key == "apply-state") {
      state_ = nbdkit::absolute_path(value);
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
    if (state_.empty()) {
      util::fail(EINVAL,
                 "apply-state is required: a file, which need not exist yet, that belongs "
                 "to this destination");
    }
  }

  void get_ready(int) { job_ = std::make_unique<Job>(make_source(from_), state_, nbdkit::log()); }

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
  std::string from_;
  std::string state_;
  std::unique_ptr<Job> job_;
};

}  // namespace

}  // namespace apply

REPLICATE_REGISTER_FILTER(apply::Filter)
