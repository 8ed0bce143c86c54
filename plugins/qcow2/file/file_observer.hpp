// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qcow2 {

// A change of an image file.
struct FileChange {
  enum class Kind : uint8_t { write, reserve, punch, set_length, sync };
  Kind kind;
  uint64_t offset = 0;             // bytes; of set_length: the new length
  uint64_t length = 0;             // bytes
  std::vector<std::byte> bytes{};  // of a write
};

// For tests: is told of every change of a file before it is made, and may throw util::Error, which
// makes the change fail. Called from any thread.
class FileObserver {
 public:
  virtual ~FileObserver() = default;
  // False: as on a file system without fallocate.
  virtual bool has_fallocate() const { return true; }
  // The result is passed to done().
  virtual uint64_t begin(FileChange change) = 0;
  // The change was made. Not called if it failed.
  virtual void done(uint64_t id) = 0;
};

}  // namespace qcow2
