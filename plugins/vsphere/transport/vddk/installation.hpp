// SPDX-License-Identifier: BSD-3-Clause
//
// Where VMware's library and the helper program are installed.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace vsphere::vddk {

struct FoundLibrary {
  std::string path;       // ".../lib64/libvixDiskLib.so.8"
  std::string directory;  // as libdir= has it: contains lib64
  std::string version;    // "8.0.2" if the name of the file tells it, else "8"
};

// Finds the newest known version of the library: in LIBDIR/lib64, then in LIBDIR. If `libdir` is
// empty the usual places are searched.
std::optional<FoundLibrary> find_library(const std::string &libdir);

// The directories that find_library("") searches, for messages: "/usr/lib/vmware-vix-disklib, ...".
std::string usual_places();

// The path of the helper program. It is searched relative to the directory of this module: in the
// build tree, then where it is installed (a tree may be moved as a whole); last at its absolute
// path. Throws util::Error ENOENT.
std::string find_helper();

}  // namespace vsphere::vddk
