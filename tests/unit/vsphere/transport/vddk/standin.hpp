// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of the VDDK helper process share: a directory for the stand-in for VMware's
// library (see tests/vddk/standin.cpp), and disks that are read through it.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>

#include "plugins/vsphere/transport/vddk/disk.hpp"
#include "tests/unit/bytes.hpp"
#include "vddk_paths.hpp"

namespace vsphere::vddk {

// The stand-in's directory, with a disk of a little more than 12 MiB. The destructor removes it.
class StandinDirectory {
 public:
  StandinDirectory() {
    char name[] = "/tmp/replicate-vddk-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
    for (const char *directory : {"/access", "/faults"})
      REQUIRE(::mkdir((path + directory).c_str(), 0700) == 0);
    put("disk", bytes);
    put("expect", "password=secret\n");
    REQUIRE(::setenv("VDDK_STANDIN", path.c_str(), 1) == 0);
  }
  ~StandinDirectory() { std::filesystem::remove_all(path); }

  void put(const std::string &name, const std::string &content) const {
    std::ofstream(path + "/" + name, std::ios::binary) << content;
  }
  std::string get(const std::string &name) const {
    std::ifstream in(path + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Makes a shell script to run in the place of the helper.
  std::string script(const std::string &commands) const {
    put("script", "#!/bin/sh\n" + commands + "\n");
    std::filesystem::permissions(path + "/script", std::filesystem::perms::owner_all);
    return path + "/script";
  }
  // The helpers used the library correctly and ended their access.
  void check_orderly() const {
    CHECK(get("log").find("VIOLATION") == std::string::npos);
    CHECK(std::filesystem::is_empty(path + "/access"));
  }

  std::string path;
  const std::string &bytes = disk_bytes();

 private:
  static const std::string &disk_bytes() {
    static const std::string made = [] {
      auto random = testing::random_bytes((12 << 20) + 5120, 1);
      return std::string(reinterpret_cast<const char *>(random.data()), random.size());
    }();
    return made;
  }
};

inline Start start_of(const StandinDirectory &standin) {
  Start s;
  s.library = VDDK_STANDIN;
  s.directory = standin.path;
  s.server = "vc";
  s.user = "me";
  s.password = Secret(std::string("secret"));
  s.thumbprint = "AA";
  s.vm = "vm-1";
  s.snapshot = "snapshot-1";
  s.path = "[ds] a/a.vmdk";
  s.transports = "nbd";
  // Of this test alone: a helper waits for another one with the same identity.
  s.identity = "unit test in " + standin.path;
  s.slots = 4;
  return s;
}

inline DiskOptions options_for(const StandinDirectory &standin, Deadlines deadlines = {}) {
  RetryPolicy retry;
  retry.delay = std::chrono::milliseconds(10);
  return {VDDK_TEST_HELPER,
          [&standin] { return start_of(standin); },
          standin.bytes.size(),
          "disk",
          retry,
          deadlines};
}

inline int error_of(const std::function<void()> &f, std::string *what = nullptr) {
  try {
    f();
    return 0;
  } catch (const util::Error &e) {
    if (what != nullptr) *what = e.what();
    return e.errnum();
  }
}

inline void check_read(VddkDisk &disk, const StandinDirectory &standin, uint64_t offset,
                       size_t length) {
  std::string got(length, '\0');
  disk.read(std::as_writable_bytes(std::span(got)), offset);
  CHECK((got == std::string_view(standin.bytes).substr(offset, length)));
}

}  // namespace vsphere::vddk
