// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>

#include "common/nbdkit/protocol_errno.hpp"

TEST_CASE("an errno becomes one that the NBD protocol defines") {
  for (int errnum : {EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, EOPNOTSUPP, ESHUTDOWN})
    CHECK(nbdkit::protocol_errno(errnum) == errnum);
  CHECK(nbdkit::protocol_errno(EACCES) == EPERM);
  for (int errnum : {ETIMEDOUT, ECONNRESET, ENOENT, EPROTO})
    CHECK(nbdkit::protocol_errno(errnum) == EIO);
}
