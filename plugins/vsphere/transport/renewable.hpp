// SPDX-License-Identifier: BSD-3-Clause
//
// A shared object, such as a connection or a helper process, that is made when it is needed and
// made anew when it has died.
#pragma once

#include <memory>
#include <utility>

#include "common/util/mutex.hpp"

namespace vsphere {

// May be used from any thread. T has `bool dead() const`.
template <typename T>
class Renewable {
 public:
  // Returns the live object. If there is none, one thread makes it by make(dead), where `dead` is
  // the one before or null, and the others wait. What make() throws goes to its caller; the next
  // thread tries again.
  template <typename Make>
  std::shared_ptr<T> get(Make &&make) ABSL_LOCKS_EXCLUDED(making_, mutex_) {
    if (auto object = live()) return object;
    util::MutexLock making(making_);
    if (auto object = live()) return object;  // another thread has made it meanwhile
    std::shared_ptr<T> made = make(take());
    util::MutexLock lock(mutex_);
    return object_ = made;
  }

  // Takes `object` out of use and calls end() for it, unless that has been done. No other object is
  // made until end() returns.
  template <typename End>
  void discard(const std::shared_ptr<T> &object, End &&end) ABSL_LOCKS_EXCLUDED(making_, mutex_) {
    util::MutexLock making(making_);
    if (live() == object) end(take());
  }

  // Takes the object, if there is one, out of use.
  std::shared_ptr<T> take() ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    return std::exchange(object_, nullptr);
  }

 private:
  std::shared_ptr<T> live() const ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    return object_ && !object_->dead() ? object_ : nullptr;
  }

  // Held while an object is made or ended, which takes as long as its deadlines say.
  util::Mutex making_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable util::Mutex mutex_;
  std::shared_ptr<T> object_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace vsphere
