// SPDX-License-Identifier: BSD-3-Clause
//
// Small whole files, and where they lie. (What replaces files: common/durability/replace_file.hpp.)
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace util {

// The content of a file, or nothing if there is no such file. Throws Error on anything else, also if
// it is longer than max_bytes.
std::optional<std::string> read_file(const std::string &path, size_t max_bytes = 256u << 20);

// Where PATH lies: its directory, "." if it names none.
std::string directory_of(const std::string &path);

// The file that a path names, by the one path that has no symbolic link in it. The file need not exist,
// nor the one that a symbolic link names; its directory must. Throws Error.
std::string resolve_links(const std::string &path);

}  // namespace util
