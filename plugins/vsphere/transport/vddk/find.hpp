// SPDX-License-Identifier: BSD-3-Clause
//
// Where VMware's library and our helper program are.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace vsphere::vddk {

struct FoundLibrary {
  std::string path;       // ".../lib64/libvixDiskLib.so.8"
  std::string directory;  // libdir=: where its lib64 is
  std::string version;    // "8.0.2" as far as the file's name tells, at least "8"
};

// The newest of the versions that we know, in DIRECTORY/lib64, then in DIRECTORY itself.
std::optional<FoundLibrary> find_library_in(const std::string &directory);
// In `libdir`, or, if that is empty, where it is usually unpacked.
std::optional<FoundLibrary> find_library(const std::string &libdir);
// Where find_library("") looks, for messages: "/usr/lib/vmware-vix-disklib, ...".
std::string usual_places();

// The helper program: in the build tree beside this module, else where it is installed, seen from
// where this module is (so that a tree that was moved as a whole works), else at the very place.
// Throws util::Error ENOENT.
std::string find_helper();

}  // namespace vsphere::vddk
