// SPDX-License-Identifier: BSD-3-Clause
//
// The file that holds an image. Every read and every change of it goes through this class.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/fd.hpp"
#include "plugins/qcow2/file/file_observer.hpp"

namespace qcow2 {

// May be used from any thread. Offsets and lengths are in bytes. Errors are util::Error with the
// path.
class ImageFile {
 public:
  ImageFile(util::Fd fd, std::string path, FileObserver *observer = nullptr)
      : fd_(std::move(fd)), path_(std::move(path)), observer_(observer) {}

  const util::Fd &fd() const { return fd_; }
  util::Fd take_fd() && { return std::move(fd_); }
  const std::string &path() const { return path_; }
  uint64_t size() const;  // also of a block device

  void read(std::span<std::byte> buffer, uint64_t offset) const;  // EIO beyond the end
  void read_or_zero(std::span<std::byte> buffer, uint64_t offset) const;
  // The first range of data in [offset, end); empty, at `end`, if there is none. The rest are
  // holes. Where holes cannot be told from data everything is data.
  extents::Range next_data(uint64_t offset, uint64_t end) const;

  using Bytes = std::span<const std::byte>;
  void write(Bytes data, uint64_t offset) const;
  // Writes the three pieces one after the other, with one system call if possible. Pieces may be
  // empty. No other thread may read or write the range at the same time.
  void write_fresh(Bytes head, Bytes data, Bytes tail, uint64_t offset) const;

  // Lets write_fresh() bypass the page cache (O_DIRECT) for large pieces, if the file lies on a
  // disk. Returns whether it does. write() never does: two direct writes to one page spoil each
  // other. Call it before other threads use the file.
  bool allow_direct();

  // Allocates space for the range, so that a later write does not fail with ENOSPC (as far as the
  // file system can promise that), and makes the file at least that long. What the range holds is
  // kept. On a file system without fallocate zeroes are written where the range reads as zeroes: there
  // no other thread may write to the range at the same time.
  void reserve(uint64_t offset, uint64_t length) const;
  // The same if the file system can do it without writing zeroes. Errors are ignored.
  void reserve_if_possible(uint64_t offset, uint64_t length) const;
  // Gives the space of the range back to the file system. Errors are ignored.
  void punch(uint64_t offset, uint64_t length) const noexcept;
  void set_length(uint64_t length) const;
  void sync() const;  // fdatasync
  // Syncs, and makes the page cache forget the file, as far as it can: what is read next is what the
  // disk has.
  void sync_and_forget() const;

 private:
  void write_buffered(Bytes head, Bytes data, Bytes tail, uint64_t offset) const;
  void write_direct(Bytes data, uint64_t offset) const;
  void write_zeroes(uint64_t offset, uint64_t length) const;
  int allocate(int mode, uint64_t offset, uint64_t length) const;
  template <typename Body>
  void observed(FileChange change, Body &&body) const;

  util::Fd fd_;
  util::Fd direct_;  // the same file with O_DIRECT; none if that is not allowed
  std::string path_;
  FileObserver *observer_;
};

}  // namespace qcow2
