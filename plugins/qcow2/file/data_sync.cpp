// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/file/data_sync.hpp"

#include <cerrno>

#include "common/util/error.hpp"

namespace qcow2 {

void DataSync::run() {
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
    failed_.store(true);
    throw;
  }
}

}  // namespace qcow2
