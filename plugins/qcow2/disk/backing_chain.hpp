// SPDX-License-Identifier: BSD-3-Clause
//
// Opens a backing chain: files to any sensible depth, each with the format that the header above it
// names. Nothing is probed: a guest can write a QCOW2 header into its raw disk.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/disk/disk.hpp"

namespace qcow2 {

// The file that a header names: as it is if absolute, else beside the image (QEMU does the same).
std::string resolve_backing(const std::string &image, const std::string &name);

// How to name the backing file in the image's header: by its name alone if both lie in one
// directory, else by its absolute path. Both paths must be absolute.
std::string backing_name(const std::string &image, const std::string &backing);

// Whether both paths are the same file; false if one of them does not exist.
bool same_file(const std::string &a, const std::string &b);

struct ChainRules {
  size_t cache_bytes;    // of memory for L2 tables, for all files of the chain together
  bool follow_anywhere;  // a name in a header may lead to any file, not only to one beside it
  bool lock;
};

// Opens `path`, the backing file of `image`, and what is below it, read-only and locked as QEMU
// locks a backing file. format is "raw" or "qcow2". Throws util::Error: not there, in use, a loop,
// damaged, a name that must not be followed.
std::unique_ptr<Source> open_backing(const std::string &image, const std::string &path,
                                     const std::string &format, const ChainRules &rules);

// The same for the backing file that the image's header names; null if it names none.
std::unique_ptr<Source> open_named_backing(const std::string &image, const Header &header,
                                           const ChainRules &rules);

}  // namespace qcow2
