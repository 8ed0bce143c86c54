// SPDX-License-Identifier: BSD-3-Clause
//
// Percent-encoding (RFC 3986, section 2.1): in URIs, and in file names made of arbitrary text.
#pragma once

#include <string>
#include <string_view>

namespace util {

// The unreserved characters of RFC 3986 that are neither letters nor digits.
inline constexpr std::string_view unreserved_marks = "-._~";

// ASCII letters and digits, and the characters in `keep`, stand as they are; every other byte becomes
// %XX.
std::string percent_encode(std::string_view text, std::string_view keep = unreserved_marks);

// %XX becomes a byte; a % without two hexadecimal digits stands as it is.
std::string percent_decode(std::string_view text);

}  // namespace util
