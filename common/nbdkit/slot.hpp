// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <utility>

namespace nbdkit {

// Holds the module's object from load to unload. Unlike a static std::unique_ptr it is not destroyed at
// exit(): nbdkit forks after get_ready (as a daemon, and with --run), and the parent, which serves no
// client, ends by exit(). Destroying the parent's copy would remove what the child uses.
template <typename T>
class Slot {
 public:
  constexpr Slot() = default;
  T *operator->() const { return kept_.object.get(); }
  void operator=(std::unique_ptr<T> object) { kept_.object = std::move(object); }
  void reset() { kept_.object.reset(); }

 private:
  union Kept {  // a union does not destroy its members
    constexpr Kept() : object() {}
    ~Kept() {}  // NOLINT: on purpose
    std::unique_ptr<T> object;
  };
  Kept kept_;
};

}  // namespace nbdkit
