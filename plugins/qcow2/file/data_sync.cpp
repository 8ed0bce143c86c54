// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/file/data_sync.hpp"

#include <cerrno>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"

namespace qcow2 {

// One sync at a time: the kernel tells one caller alone of a lost write, and a sync at the same time would
// succeed although the write was its caller's.
void DataSync::sync() {
  if (failed_.load()) {
    util::fail(EIO,
               "{}: an earlier sync has failed, and what was written since may be lost: run "
               "qemu-img check -r all on it and copy again",
               file_.path());
  }
  if (pending_ != nullptr) pending_->write_out();
  try {
    file_.sync();
  } catch (const util::Error &) {
    REPLICATE_SYNC_POINT("qcow2.sync_failed");
    failed_.store(true);
    throw;
  }
}

}  // namespace qcow2
