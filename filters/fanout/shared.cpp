// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/shared.hpp"

#include <cerrno>
#include <utility>

#include "common/util/error.hpp"

namespace fanout {

Shared::Shared(std::vector<Settings> settings, const std::string &stats_path, util::Log log)
    : settings_(std::move(settings)),
      log_(std::move(log)),
      stats_(
          "fanout-stats", stats_path, [this] { return prometheus_text(counters_); }, log_) {
  for (const auto &s : settings_) counters_.push_back(std::make_unique<Counters>(s.name));
  stats_.write();
}

Shared::~Shared() {
  stats_.write_anyway();
}

std::shared_ptr<Session> Shared::session(uint64_t primary_size) {
  std::lock_guard guard(connecting_);
  auto session = session_.lock();
  if (!session) {
    session = std::make_shared<Session>(settings_, counters_, primary_size, log_);
    session_ = session;
  }
  return session;
}

void Shared::claim(const std::string &export_name) {
  std::lock_guard guard(claiming_);
  if (!written_) written_ = export_name;
  if (*written_ != export_name) {
    util::fail(EINVAL,
               "fanout: the destinations were given the export \"{}\", they cannot hold \"{}\" as "
               "well: run one nbdkit for each export",
               *written_, export_name);
  }
}

}  // namespace fanout
