// SPDX-License-Identifier: BSD-3-Clause
//
// What the fuzz targets share. Each defines LLVMFuzzerTestOneInput(); linked with libFuzzer it looks
// for inputs of its own, linked with replay.cpp it runs the corpus once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "common/util/error.hpp"

namespace fuzz {

inline void require(bool holds) {
  if (!holds) std::abort();
}

// Runs the body. It may throw util::Error: foreign bytes may be refused, and in no other way.
template <typename Body>
void may_refuse(Body &&body) {
  try {
    std::forward<Body>(body)();
  } catch (const util::Error &) {
  }
}

}  // namespace fuzz
