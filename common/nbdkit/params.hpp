// SPDX-License-Identifier: BSD-3-Clause
//
// Values of key=value parameters. Each function throws util::Error EINVAL with the parameter's name,
// the value it was given and what is allowed.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "common/extents/extent.hpp"

namespace nbdkit {

// Throws: the module has no such parameter. `module`: "qcow2-plugin", "apply-filter".
[[noreturn]] void fail_unknown_parameter(const std::string &key, const std::string &module);

// As nbdkit_parse_size: "64K", "1M", "4096"; bytes, between min and max.
uint64_t parse_size(const std::string &key, const std::string &value, uint64_t min, uint64_t max);

// Seconds, from 0.1 to a day: how long something may take.
std::chrono::milliseconds parse_timeout(const std::string &key, const std::string &value);

// As nbdkit_parse_bool: on/off, yes/no, true/false, 1/0.
bool parse_bool(const std::string &key, const std::string &value);

unsigned parse_unsigned(const std::string &key, const std::string &value, unsigned min,
                        unsigned max);

// A whole number of seconds or a decimal fraction ("0.5"), in milliseconds.
uint64_t parse_seconds(const std::string &key, const std::string &value, uint64_t min_ms,
                       uint64_t max_ms);

// One of the words; returns its place in the list.
size_t parse_choice(const std::string &key, const std::string &value,
                    std::initializer_list<std::string_view> words);

// OFFSET-END[,OFFSET-END...]: sizes; each range ends after it begins.
std::vector<extents::Range> parse_ranges(const std::string &key, const std::string &value);

// As nbdkit_read_password: the password itself, or "-" (ask), "+FILE", "-FD". The line that is read may end in CR LF,
// as files of Windows do.
std::string read_password(const std::string &value);

// An absolute path, for nbdkit changes its directory when it becomes a daemon.
std::string absolute_path(const std::string &value);

}  // namespace nbdkit
