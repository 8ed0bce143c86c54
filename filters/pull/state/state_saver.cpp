// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/state/state_saver.hpp"

#include <utility>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"

namespace pull {

StateSaver::StateSaver(std::string path, replication::State header, const Presence &presence)
    : path_(std::move(path)),
      presence_(presence),
      header_(std::move(header)),
      is_written_(replication::is_written(header_)),
      saved_(UINT64_MAX) {}

void StateSaver::begin(const std::string &image) {
  rounds_.run([&] {
    header_.image = image;
    if (!is_written_) header_.pull = "unchanged";
    write();
  });
}

void StateSaver::save_written() {
  rounds_.run([&] {
    if (is_written_) return;
    header_.pull = "written";
    try {
      write();
    } catch (...) {
      header_.pull = "unchanged";
      throw;
    }
    is_written_ = true;
  });
}

void StateSaver::save() {
  if (!is_behind()) return;
  rounds_.run([&] { write(); });
}

void StateSaver::write() {
  if (path_.empty()) {
    saved_ = presence_.changes();
    return;
  }
  const auto start = std::chrono::steady_clock::now();
  const Presence::Snapshot now = presence_.durable();
  if (saved_ == now.changes && is_written_ == (header_.pull == "written")) return;
  REPLICATE_SYNC_POINT("pull.saving");
  replication::save_state(path_, header_, [&](const auto &add) {
    for (const extents::Range &range : now.owed.ranges()) add(range);
  });
  saved_ = now.changes;
  took_ = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                start)
              .count();
}

}  // namespace pull
