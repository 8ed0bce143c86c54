// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <utility>

namespace nbdkit {

// Where the module's one object lives, from load to unload and no longer nor shorter. A static
// unique_ptr would be destroyed once more: nbdkit forks after get_ready (a daemon, --run), and the
// parent, which serves nobody, leaves by exit(). Its copy must not tidy up what the child works
// with.
template <typename T>
class Slot {
 public:
  constexpr Slot() = default;
  T *operator->() const { return kept_.object.get(); }
  void operator=(std::unique_ptr<T> object) { kept_.object = std::move(object); }
  void reset() { kept_.object.reset(); }

 private:
  union Kept {  // a union does not destroy its member
    constexpr Kept() : object() {}
    ~Kept() {}  // NOLINT: on purpose
    std::unique_ptr<T> object;
  };
  Kept kept_;
};

}  // namespace nbdkit
