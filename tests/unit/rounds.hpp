// SPDX-License-Identifier: BSD-3-Clause
//
// How often a test repeats what it draws at random.
#pragma once

namespace testing {

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
inline constexpr bool sanitized = true;
#elif defined __has_feature
inline constexpr bool sanitized =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool sanitized = false;
#endif

// A quarter of n under a sanitizer, which makes each round ten times as slow, but no fewer than one.
constexpr unsigned rounds(unsigned n) {
  return sanitized ? (n + 3) / 4 : n;
}

}  // namespace testing
