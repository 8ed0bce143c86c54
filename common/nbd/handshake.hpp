// SPDX-License-Identifier: BSD-3-Clause
//
// From a URI to a libnbd handle that is ready, within a deadline.
#pragma once

#include <libnbd.h>

#include <memory>
#include <string>

#include "common/nbd/connection.hpp"

namespace nbd {

struct CloseHandle {
  void operator()(nbd_handle *h) const { nbd_close(h); }
};
using Handle = std::unique_ptr<nbd_handle, CloseHandle>;

// Throws util::Error: ETIMEDOUT after options.connect_timeout, EINVAL if the server could not be
// verified (peer.hpp), else what libnbd says.
Handle connect(const Options &options, const std::string &name);

Info read_info(nbd_handle *h, const Options &options);

// Of libnbd: "1.14.2".
std::string library_version();

}  // namespace nbd
