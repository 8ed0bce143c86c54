// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <nbdkit-common.h>

#include <mutex>

#include "common/util/mutex.hpp"

namespace nbdkit {

// Keeps to the thread model where nbdkit does not: a background connection bypasses nbdkit's own locks, and a filter's
// threads may use a client's connection. One for each connection, held for each of its requests.
class RequestLock {
 public:
  // thread_model: the one in force, NBDKIT_THREAD_MODEL_*. all: one for all connections, which must outlive it.
  RequestLock(int thread_model, util::Mutex &all)
      : mutex_(thread_model == NBDKIT_THREAD_MODEL_PARALLEL             ? nullptr
               : thread_model == NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS ? &own_
                                                                        : &all) {}
  RequestLock(const RequestLock &) = delete;
  RequestLock &operator=(const RequestLock &) = delete;

  // Empty where several requests are allowed at a time.
  std::unique_lock<util::Mutex> hold() {
    return mutex_ == nullptr ? std::unique_lock<util::Mutex>()
                             : std::unique_lock<util::Mutex>(*mutex_);
  }

 private:
  util::Mutex own_;
  util::Mutex *const mutex_;
};

}  // namespace nbdkit
