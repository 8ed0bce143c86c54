// SPDX-License-Identifier: BSD-3-Clause
//
// A disk that is compared with the digests of an earlier run (delta-digests=).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/extents/extent.hpp"
#include "common/replication/source_description.hpp"
#include "common/replication/state_file.hpp"
#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "filters/delta/changes/change_source.hpp"
#include "filters/delta/digests/generations.hpp"
#include "filters/delta/digests/scan.hpp"

namespace delta {

struct DigestSettings {
  std::string path;            // FILE
  std::string disk_name;       // as Points::disk_name
  bool fail_on_reset = false;  // as Points::fail_on_reset
  unsigned threads =
      0;  // that may read, beside those of nbdkit; 0 if the layer below is not parallel
};

class DigestedSource : public ChangeSource {
 public:
  DigestedSource(DigestSettings settings, const util::Log &log);
  ~DigestedSource() override;

  // The first call decides: mode "delta" if there are digests of the checkpoint that the destination holds;
  // else "full", with a warning if it holds any. Throws util::Error: EINVAL if the state is of a larger disk,
  // or, with fail_on_reset, instead of "full"; or if the files cannot be used.
  replication::SourceDescription describe(const std::string &lower, uint64_t size,
                                          const replication::State *state) override
      ABSL_LOCKS_EXCLUDED(opening_);

  // Reads what is not known yet.
  void honest(SourceDisk &disk, extents::Range range, Clock::time_point until,
              const Add &add) override;

 private:
  struct Opened;
  std::unique_ptr<Opened> open(const std::string &lower, uint64_t size,
                               const replication::State &state) const;
  Scan &scan_of_opened() ABSL_LOCKS_EXCLUDED(opening_);

  const DigestSettings settings_;
  const util::Log log_;
  util::Mutex opening_;  // held while the files are opened, by the first connection
  std::unique_ptr<Opened> opened_ ABSL_GUARDED_BY(opening_);  // set once
};

}  // namespace delta
