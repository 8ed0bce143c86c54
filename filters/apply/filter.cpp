// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-apply-filter: lets clients write only what is in the delta, and records what is owed.
#include "common/nbdkit/filter.hpp"

#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/digests/digest.hpp"
#include "common/nbd/handshake.hpp"
#include "common/stats/ticker.hpp"
#include "common/util/error.hpp"
#include "filters/apply/job/job.hpp"
#include "filters/apply/next_layer.hpp"
#include "filters/apply/parameters.hpp"

namespace apply {

namespace {

// What a connection does for the job. That the run has failed is logged once, by the job; each request
// after that fails without a word.
template <typename F>
void for_job(F &&f) {
  try {
    f();
  } catch (const RunFailed &e) {
    throw nbdkit::Reported{e.errnum()};
  }
}

class Connection {
 public:
  explicit Connection(Job &job) : job_(job) {}

  // nbdkit's `next` stays the same until finalize.
  void prepare(nbdkit::Next next, bool) {
    next_layer_.emplace(next);
    if (next_layer_->can().write) client_ = job_.join(*next_layer_);
  }

  void finalize() {
    if (auto client = std::move(client_)) for_job([&] { client->finish(); });
  }

  // LowerDisk writes zeroes where the layer below cannot zero.
  nbdkit::Zero can_zero(nbdkit::Next) { return nbdkit::Zero::native; }
  // Where the layer below has no flush, what it has answered is durable; the state is saved after a flush
  // in any case, and clients such as nbdcopy --flush fail where there is none.
  bool can_flush(nbdkit::Next) { return true; }
  bool can_fast_zero(nbdkit::Next) { return next_layer_->can().fast_zero; }
  bool can_trim(nbdkit::Next) { return next_layer_->can().native_zero; }

  void pwrite(nbdkit::Next, std::span<const std::byte> buffer, uint64_t offset, uint32_t flags) {
    for_job([&] { client_->write(buffer, offset, (flags & NBDKIT_FLAG_FUA) != 0); });
  }

  void zero(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t flags) {
    for_job([&] {
      client_->zero({offset, count}, {.fua = (flags & NBDKIT_FLAG_FUA) != 0,
                                      .may_trim = (flags & NBDKIT_FLAG_MAY_TRIM) != 0,
                                      .fast = (flags & NBDKIT_FLAG_FAST_ZERO) != 0});
    });
  }

  // Trimmed bytes may read as anything, also as the old bytes. A zero that may leave a hole is as
  // cheap, and its result is known.
  void trim(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t flags) {
    for_job([&] {
      client_->zero({offset, count},
                    {.fua = (flags & NBDKIT_FLAG_FUA) != 0, .may_trim = true, .fast = false});
    });
  }

  void flush(nbdkit::Next) {
    if (client_) {
      for_job([&] { client_->flush(); });
    } else {
      next_layer_->flush();
    }
  }

 private:
  Job &job_;
  std::optional<NextLayer> next_layer_;
  std::unique_ptr<JobClient> client_;  // empty if the connection cannot write
};

class Filter {
 public:
  static constexpr const char *name = "apply";
  static constexpr const char *longname = "nbdkit apply filter";
  static constexpr const char *description =
      "write only what is in a delta, and record what is owed, at the destination";
  static constexpr const char *config_help = Parameters::help;

  static nbdkit::Libraries libraries() {
    return {{"libnbd", nbd::library_version()}, {"xxhash", digests::library_version()}};
  }

  bool config(const std::string &key, const std::string &value) {
    return parameters_.set(key, value);
  }
  void config_complete() { parameters_.complete(); }

  void get_ready(int thread_model) {
    Settings settings = parameters_.settings;
    settings.background = thread_model == NBDKIT_THREAD_MODEL_PARALLEL;
    auto source = make_source(settings.source, settings.timeouts, nbdkit::log());
    job_ = std::make_unique<Job>(std::move(source), std::move(settings), nbdkit::log());
  }

  void after_fork(nbdkit::Backend) {
    ticker_.emplace(std::chrono::seconds(2), [this] { job_->tick(); });
  }
  void cleanup(nbdkit::Backend) {
    ticker_.reset();
    job_->finish();
  }

  // A state file belongs to one destination, so there is one export, the default one.
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
  Parameters parameters_;
  std::unique_ptr<Job> job_;
  std::optional<stats::Ticker> ticker_;
};

}  // namespace

}  // namespace apply

REPLICATE_REGISTER_FILTER(apply::Filter)
