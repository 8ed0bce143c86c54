// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/state/state_saver.hpp"

#include <utility>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"

namespace pull {

StateSaver::StateSaver(std::string path, replication::State header, const Presence &presence)
    : path_(std::move(path)),
      presence_(presence),
      rounds_([this] { write(); }),
      header_(std::move(header)),
      is_written_(replication::is_written(header_)),
      saved_(UINT64_MAX) {}

void StateSaver::begin(const std::string &image) {
  header_.image = image;
  rounds_.run();
}

void StateSaver::claim() {
  ++claims_;
  try {
    rounds_.run();
  } catch (...) {
    --claims_;
    throw;
  }
  --claims_;
}

void StateSaver::save() {
  if (is_behind()) rounds_.run();
}

void StateSaver::write() {
  if (path_.empty()) {
    saved_ = presence_.changes();
    return;
  }
  const bool written = is_written_ || claims_ > 0;
  const auto start = std::chrono::steady_clock::now();
  const Presence::Snapshot now = presence_.durable();
  if (saved_ == now.changes && is_written_ == written) return;
  if (!is_written_) header_.pull = written ? "written" : "unchanged";
  REPLICATE_SYNC_POINT("pull.saving");
  replication::save_state(path_, header_, [&](const auto &add) {
    for (const extents::Range &range : now.owed.ranges()) add(range);
  });
  is_written_ = written;
  saved_ = now.changes;
  took_ = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                start)
              .count();
}

}  // namespace pull
