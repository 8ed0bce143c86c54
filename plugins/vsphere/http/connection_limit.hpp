// SPDX-License-Identifier: BSD-3-Clause
//
// How many connections a server is asked for. A host serves a limited number to all its clients together; a
// backup that asks for more than are left goes on with those that it has.
#pragma once

#include <algorithm>
#include <chrono>

namespace vsphere {

// Not synchronised. `now` is the time of the call.
class ConnectionLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds before_one_more{60};  // other clients may have ended

  explicit ConnectionLimit(unsigned most) : most_(most), limit_(most), told_(most) {}

  // How many connections may be in use.
  unsigned connections(Time now) {
    if (limit_ < most_ && now - changed_ >= before_one_more) {
      ++limit_;
      changed_ = now;
    }
    return limit_;
  }

  // A new connection was refused while `working` others are served. Returns whether there have never been so
  // few before: the user is told then, and not whenever one more is tried.
  bool refused(unsigned working, Time now) {
    if (working == 0) return false;  // the server may be down; the retries find out
    changed_ = now;
    limit_ = std::min(limit_, working);
    if (limit_ >= told_) return false;
    told_ = limit_;
    return true;
  }

 private:
  const unsigned most_;
  unsigned limit_;
  unsigned told_;   // the lowest limit that the user knows of
  Time changed_{};  // when the limit was last changed, or confirmed
};

}  // namespace vsphere
