// SPDX-License-Identifier: BSD-3-Clause
//
// Which export of the primary the destinations hold: they can hold one only.
#pragma once

#include <cerrno>
#include <optional>
#include <string>

#include "common/util/error.hpp"

namespace fanout {

// Not synchronised: the lock of the server protects it.
class HeldExport {
 public:
  // A state file says so.
  void restore(const std::string &name) { written_ = name; }

  // A client has come. The first one's export is held until the destinations are closed, or for
  // good once it is written.
  void client_came(const std::string &name, bool first) {
    if (first && !written_) opened_ = name;
  }
  bool is(const std::string &name) const { return this->name() == name; }
  const std::string &name() const { return written_ ? *written_ : opened_; }

  // Before the first write of a client. Throws EINVAL if it is another export.
  void claim(const std::string &name) {
    if (!is(name)) {
      util::fail(
          EINVAL,
          "fanout: the destinations hold the export \"{}\" and cannot hold \"{}\" as well: run "
          "one nbdkit for each export",
          this->name(), name);
    }
    written_ = name;
  }

 private:
  std::optional<std::string> written_;
  std::string opened_;
};

}  // namespace fanout
