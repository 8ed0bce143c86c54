// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/installation.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <string_view>

#include "common/util/error.hpp"

namespace vsphere::vddk {

namespace {

namespace fs = std::filesystem;

constexpr std::array versions = {"9", "8", "7", "6"};
constexpr std::string_view stem = "libvixDiskLib.so.";
constexpr std::array usual = {"/usr/lib/vmware-vix-disklib", "/usr/lib64/vmware-vix-disklib",
                              "/usr/local/lib/vmware-vix-disklib",
                              "/opt/vmware-vix-disklib-distrib"};

// The soname is usually a symbolic link to a file whose name has the whole version.
std::string version_of(const fs::path &path, std::string_view major) {
  std::error_code error;
  std::string name = fs::canonical(path, error).filename();
  return !error && name.starts_with(stem) ? name.substr(stem.size()) : std::string(major);
}

std::optional<FoundLibrary> find_library_in(const std::string &directory) {
  for (const fs::path &place : {fs::path(directory) / "lib64", fs::path(directory)}) {
    for (const char *version : versions) {
      fs::path path = place / (std::string(stem) + version);
      if (::access(path.c_str(), R_OK) == 0) {
        return FoundLibrary{path, directory, version_of(path, version)};
      }
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<FoundLibrary> find_library(const std::string &libdir) {
  if (!libdir.empty()) return find_library_in(libdir);
  for (const char *directory : usual) {
    if (auto found = find_library_in(directory)) return found;
  }
  return std::nullopt;
}

std::string usual_places() {
  std::string list;
  for (const char *directory : usual) list += (list.empty() ? "" : ", ") + std::string(directory);
  return list;
}

std::string find_helper() {
  Dl_info info = {};
  fs::path here;
  if (::dladdr(reinterpret_cast<void *>(&find_helper), &info) != 0 && info.dli_fname != nullptr) {
    std::error_code error;
    here = fs::canonical(info.dli_fname, error).parent_path();
  }
  const fs::path installed = VDDK_HELPER;
  const fs::path seen_from_here = here / installed.lexically_relative(VDDK_MODULE_DIRECTORY);
  for (const fs::path &path :
       {here / "transport/vddk/helper/nbdkit-vsphere-vddk", seen_from_here, installed}) {
    if (::access(path.c_str(), X_OK) == 0) return path.lexically_normal();
  }
  util::fail(ENOENT,
             "transport=vddk needs the program {}, which is missing: reinstall nbdkit-replicate",
             installed.string());
}

}  // namespace vsphere::vddk
