// SPDX-License-Identifier: BSD-3-Clause
//
// Opens a backing chain. Each file has the format that the header above it names. The format is
// never probed: a guest can write a QCOW2 header to its raw disk.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "plugins/qcow2/disk/disk.hpp"
#include "plugins/qcow2/format/header.hpp"

namespace qcow2 {

// The path of the file that a header names. A relative name is relative to the directory of the
// image, as for QEMU.
std::string resolve_backing(const std::string &image, const std::string &name);

// The name of the backing file for the header of the image: only the file name if both files are in
// one directory, otherwise the absolute path. Both paths must be absolute.
std::string backing_name(const std::string &image, const std::string &backing);

// Whether both paths lead to the same file. False if one of them does not exist.
bool same_file(const std::string &a, const std::string &b);

struct ChainRules {
  size_t cache_bytes;    // memory for the L2 tables of all files of the chain together
  bool follow_anywhere;  // a header may name any file, not only one in the directory of the image
  bool lock;
  bool corrupt;  // files that are marked corrupt are read too; not below an image that is written
};

// Opens `path`, the backing file of `image`, and the files below it, read-only, and locked as QEMU
// locks a backing file. format: "raw" or "qcow2". Throws util::Error if a file is missing, in use
// or damaged, if the chain is a loop, or if a name must not be followed.
std::unique_ptr<Disk> open_backing(const std::string &image, const std::string &path,
                                   const std::string &format, const ChainRules &rules);

// The same for the backing file that the header of the image names. Null if it names none.
std::unique_ptr<Disk> open_named_backing(const std::string &image, const Header &header,
                                         const ChainRules &rules);

}  // namespace qcow2
