// SPDX-License-Identifier: BSD-3-Clause
//
// Turns exceptions into one nbdkit_error() and an errno at the border to nbdkit. (An exception that left
// a callback would end the whole server.)
#pragma once

#include <cerrno>
#include <utility>

#include "common/nbdkit/protocol_errno.hpp"
#include "common/util/log.hpp"

namespace nbdkit {

// The layer below has failed. It has reported the reason already; only the errno is passed on.
struct Reported {
  int errnum;
};

// A util::Log into nbdkit's own log: errors and warnings by nbdkit_error, the rest by nbdkit_debug.
util::Log log();

// Called in a catch block: reports the exception in flight and returns its errno.
int report_current_exception() noexcept;

// Tells the server (plugins) which errno the client is to get.
void set_errno(int errnum) noexcept;

// Runs a callback's body; what it throws is reported, and `failure` returned. `err`, if given, is the
// errno pointer of a filter's data callback.
template <typename R, typename Body>
R guard(R failure, Body &&body, int *err = nullptr) noexcept {
  try {
    return std::forward<Body>(body)();
  } catch (...) {
    int errnum = protocol_errno(report_current_exception());
    if (err != nullptr) *err = errnum;
    set_errno(errnum);
    return failure;
  }
}

}  // namespace nbdkit
