// SPDX-License-Identifier: BSD-3-Clause
//
// For all tests of the qcow2 plugin: a directory for each, and images in it.
#pragma once

#include <stdlib.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "plugins/qcow2/open.hpp"
#include "tests/unit/bytes.hpp"
#include "tests/unit/directory.hpp"

namespace qcow2::test {

using testing::Directory;
using testing::make_letters;
using testing::random_bytes;

// The standard's compares byte by byte, which is slow without optimisation.
inline bool operator==(const std::vector<std::byte> &a, const std::vector<std::byte> &b) {
  return testing::equal(a, b);
}

// A buffer to read into, as a server has it: with what an earlier request has left there. What is not written to it is
// seen.
inline std::vector<std::byte> used_buffer(uint64_t length) {
  return std::vector<std::byte>(length, std::byte{0xaa});
}

// disk: an Image or a Layer.
template <typename Disk>
std::vector<std::byte> read_part(const Disk &disk, uint64_t offset, uint64_t length) {
  auto bytes = used_buffer(length);
  disk.read(bytes, offset);
  return bytes;
}

inline std::vector<std::byte> read_all(const Image &image) {
  return read_part(image, 0, image.size());
}

// The extents of the range. Adjacent ones of the same type are merged.
inline std::vector<extents::Extent> extents_of(const Image &image, extents::Range range) {
  std::vector<extents::Extent> list;
  image.extents(range, [&](const extents::Extent &e) {
    if (!list.empty() && list.back().type == e.type && list.back().end() == e.offset) {
      list.back().length += e.length;
    } else {
      list.push_back(e);
    }
    return true;
  });
  return list;
}

inline void write_file(const std::string &path, const std::vector<std::byte> &bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char *>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

inline std::vector<std::byte> load_file(const std::string &path) {
  std::vector<std::byte> bytes(std::filesystem::file_size(path));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

// The exit status of qemu-img check. 0: no errors, no leaks.
inline int check(const std::string &path, const std::string &options = "") {
  int status =
      std::system(("qemu-img check -q " + options + " " + path + " > /dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline std::unique_ptr<Image> create(const std::string &path, uint64_t size, uint64_t cluster_size,
                                     const std::string &backing = "",
                                     const std::string &backing_format = "",
                                     Settings settings = {}) {
  settings.path = path;
  settings.size = size;
  settings.cluster_size = cluster_size;
  if (!backing.empty()) settings.backing = backing;
  settings.backing_format = backing_format;
  return open_image(settings, util::Log());
}

inline std::unique_ptr<Image> reopen(const std::string &path, const util::Log &log = util::Log()) {
  Settings settings;
  settings.path = path;
  settings.create = Create::never;
  settings.follow_backing = true;
  return open_image(settings, log);
}

}  // namespace qcow2::test
