// SPDX-License-Identifier: BSD-3-Clause
//
// The file that holds an image: everything that is read from it or changed in it goes through here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/util/fd.hpp"
#include "plugins/qcow2/file/write_gate.hpp"

namespace qcow2 {

// A change of the file, as an observer is told of it.
struct FileChange {
  enum class Kind : uint8_t { write, reserve, punch, set_length, sync };
  Kind kind;
  uint64_t offset = 0;
  uint64_t length = 0;             // for set_length: the new length is `offset`
  std::vector<std::byte> bytes{};  // of a write
};

// For tests: sees every change before it is made, and may throw util::Error, which fails it. done()
// follows when the change was made. Called from any thread.
class FileObserver {
 public:
  virtual ~FileObserver() = default;
  // What is returned is given to done().
  virtual uint64_t begin(FileChange change) = 0;
  virtual void done(uint64_t id) = 0;
};

// May be used from any thread. Offsets and lengths in bytes. Throws util::Error naming the file.
class ImageFile {
 public:
  ImageFile(util::Fd fd, std::string path, FileObserver *observer = nullptr)
      : fd_(std::move(fd)), path_(std::move(path)), observer_(observer) {}

  const util::Fd &fd() const { return fd_; }
  util::Fd take_fd() && { return std::move(fd_); }
  const std::string &path() const { return path_; }
  // A block device's too.
  uint64_t size() const;

  void read(std::span<std::byte> buffer, uint64_t offset) const;  // EIO beyond the end
  void read_or_zero(std::span<std::byte> buffer, uint64_t offset) const;

  using Bytes = std::span<const std::byte>;
  void write(Bytes data, uint64_t offset) const;
  // Writes what nobody else writes to or reads meanwhile: one after the other, in one call where the
  // system can; some may be empty.
  void write_fresh(Bytes head, Bytes data, Bytes tail, uint64_t offset) const;

  // write_fresh may send large pieces to the disk past the page cache (O_DIRECT), from now on, if the
  // file lies on a disk. (Other writes may not: two that share a page would spoil each other.)
  // Returns whether it does.
  bool allow_direct();

  // Makes sure that writing the range later will not fail for want of space, as far as the file
  // system can promise that, and that the file is at least so long. What is there is kept. The
  // range must be fresh: a file system that cannot reserve has zeroes written.
  void reserve(uint64_t offset, uint64_t length) const;
  // The same where the file system can do it at once, and has room.
  void reserve_if_possible(uint64_t offset, uint64_t length) const;
  // Gives space back. Best effort: a file system that cannot do it keeps the space.
  void punch(uint64_t offset, uint64_t length) const noexcept;
  void set_length(uint64_t length) const;
  // fdatasync.
  void sync() const;

 private:
  void write_buffered(Bytes head, Bytes data, Bytes tail, uint64_t offset) const;
  void write_direct(Bytes data, uint64_t offset) const;
  template <typename Body>
  void observed(FileChange change, Body &&body) const;

  util::Fd fd_;
  util::Fd direct_;  // the same file, if O_DIRECT is allowed
  std::string path_;
  FileObserver *observer_;
  std::unique_ptr<Turns> turns_ = std::make_unique<Turns>();  // of buffered writes
};

}  // namespace qcow2
