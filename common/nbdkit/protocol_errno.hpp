// SPDX-License-Identifier: BSD-3-Clause
//
// The NBD protocol has few error numbers, and nbdkit sends EINVAL for every other one. To a client, EINVAL
// means that its request was wrong; a lost connection to a source or destination is EIO.
#pragma once

#include <cerrno>

namespace nbdkit {

// The errno that nbdkit passes on as what it means ("Error values" in the NBD protocol).
constexpr int protocol_errno(int errnum) {
  switch (errnum) {
    case EPERM:
    case EROFS:
    case EIO:
    case ENOMEM:
    case EINVAL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EOVERFLOW:
    case EOPNOTSUPP:
    case ESHUTDOWN:
      return errnum;
    case EACCES:
      return EPERM;
    default:
      return EIO;
  }
}

}  // namespace nbdkit
