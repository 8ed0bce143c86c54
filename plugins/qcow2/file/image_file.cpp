// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/file/image_file.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <new>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "common/util/zero.hpp"

namespace qcow2 {

namespace {

std::vector<std::byte> joined(const std::array<std::span<const std::byte>, 3> &buffers) {
  std::vector<std::byte> all;
  for (const auto &buffer : buffers) all.insert(all.end(), buffer.begin(), buffer.end());
  return all;
}

// O_DIRECT is faster for large pieces only. No disk needs a larger alignment.
constexpr size_t min_direct = 128u << 10;
constexpr size_t max_direct = 512u << 10;
constexpr size_t direct_alignment = 4096;

// Valid until the next call in this thread.
std::span<const std::byte> aligned_copy(std::span<const std::byte> data) {
  struct Free {
    void operator()(std::byte *p) const { std::free(p); }
  };
  thread_local std::unique_ptr<std::byte, Free> buffer;
  thread_local size_t size = 0;
  if (size < data.size()) {
    buffer.reset(static_cast<std::byte *>(std::aligned_alloc(direct_alignment, data.size())));
    size = buffer ? data.size() : 0;
    if (!buffer) throw std::bad_alloc();
  }
  std::copy(data.begin(), data.end(), buffer.get());
  return {buffer.get(), data.size()};
}

}  // namespace

// fallocate, repeated after a signal. Returns the errno, or 0.
int ImageFile::allocate(int mode, uint64_t offset, uint64_t length) const {
  if (observer_ != nullptr && !observer_->has_fallocate()) return EOPNOTSUPP;
  int r;
  do {
    r = ::fallocate(fd_.get(), mode, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (r < 0 && errno == EINTR);
  return r < 0 ? errno : 0;
}

template <typename Body>
void ImageFile::observed(FileChange change, Body &&body) const {
  if (observer_ == nullptr) return body();
  uint64_t id = observer_->begin(std::move(change));
  body();
  observer_->done(id);
}

uint64_t ImageFile::size() const {
  off_t end = ::lseek(fd_.get(), 0, SEEK_END);
  if (end < 0) util::fail_os(errno, "cannot find the size of {}", path_);
  return static_cast<uint64_t>(end);
}

void ImageFile::read(std::span<std::byte> buffer, uint64_t offset) const {
  util::read_at(fd_, buffer, offset, path_);
}

void ImageFile::read_or_zero(std::span<std::byte> buffer, uint64_t offset) const {
  util::read_at_or_zero(fd_, buffer, offset, path_);
}

// SEEK_DATA moves the file offset, which nothing here uses.
extents::Range ImageFile::next_data(uint64_t offset, uint64_t end) const {
  off_t found = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (found < 0)
    return errno == ENXIO ? extents::Range{end, 0} : extents::Range{offset, end - offset};
  uint64_t data = std::max(offset, static_cast<uint64_t>(found));
  if (data >= end) return {end, 0};
  off_t hole = ::lseek(fd_.get(), static_cast<off_t>(data), SEEK_HOLE);
  uint64_t stop = hole < 0 ? end : std::clamp<uint64_t>(static_cast<uint64_t>(hole), data + 1, end);
  return {data, stop - data};
}

void ImageFile::write(Bytes data, uint64_t offset) const {
  FileChange change{FileChange::Kind::write, offset};
  if (observer_ != nullptr) change.bytes.assign(data.begin(), data.end());
  observed(std::move(change), [&] { util::write_at(fd_, data, offset, path_); });
}

void ImageFile::write_fresh(Bytes head, Bytes data, Bytes tail, uint64_t offset) const {
  FileChange change{FileChange::Kind::write, offset};
  if (observer_ != nullptr) change.bytes = joined({head, data, tail});
  bool direct = direct_ && head.empty() && tail.empty() && data.size() >= min_direct &&
                data.size() % direct_alignment == 0 && offset % direct_alignment == 0;
  observed(std::move(change), [&] {
    if (direct) {
      write_direct(data, offset);
    } else {
      write_buffered(head, data, tail, offset);
    }
  });
}

void ImageFile::write_buffered(Bytes head, Bytes data, Bytes tail, uint64_t offset) const {
  const std::array<Bytes, 3> buffers = {head, data, tail};
  std::array<iovec, 3> vectors;
  for (size_t i = 0; i < buffers.size(); ++i) {
    vectors[i] = {const_cast<std::byte *>(buffers[i].data()), buffers[i].size()};
  }
  ssize_t n;
  do {
    n = ::pwritev(fd_.get(), vectors.data(), vectors.size(), static_cast<off_t>(offset));
  } while (n < 0 && errno == EINTR);
  if (n < 0) util::fail_os(errno, "cannot write at offset {} of {}", offset, path_);
  // The rest of a short write, which is rare, buffer by buffer.
  auto written = static_cast<size_t>(n);
  for (const auto &buffer : buffers) {
    size_t done = std::min(written, buffer.size());
    written -= done;
    util::write_at(fd_, buffer.subspan(done), offset + done, path_);
    offset += buffer.size();
  }
}

// A client's buffer is rarely aligned: its content is copied to an aligned buffer of the thread.
void ImageFile::write_direct(Bytes data, uint64_t offset) const {
  while (!data.empty()) {
    Bytes piece = data.first(std::min(data.size(), max_direct));
    Bytes aligned = piece;
    if (reinterpret_cast<uintptr_t>(piece.data()) % direct_alignment != 0) {
      aligned = aligned_copy(piece);
    }
    ssize_t n;
    do {
      n = ::pwrite(direct_.get(), aligned.data(), aligned.size(), static_cast<off_t>(offset));
    } while (n < 0 && errno == EINTR);
    size_t written = n < 0 ? 0 : static_cast<size_t>(n);
    // What was not written, such as with an alignment that the disk does not accept, is written
    // through the page cache, which reports the error if there is one.
    if (written < piece.size())
      util::write_at(fd_, piece.subspan(written), offset + written, path_);
    data = data.subspan(piece.size());
    offset += piece.size();
  }
}

bool ImageFile::allow_direct() {
  struct statfs fs;
  if (::fstatfs(fd_.get(), &fs) < 0 || fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) {
    return false;
  }
  std::string self = "/proc/self/fd/" + std::to_string(fd_.get());
  direct_ = util::Fd(::open(self.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  return static_cast<bool>(direct_);
}

void ImageFile::reserve(uint64_t offset, uint64_t length) const {
  int error = 0;
  observed({FileChange::Kind::reserve, offset, length},
           [&] { error = allocate(0, offset, length); });
  if (error == 0) return;
  if (error != EOPNOTSUPP && error != ENOSYS) {
    util::fail_os(error, "cannot reserve {} bytes at offset {} of {}", length, offset, path_);
  }
  write_zeroes(offset, length);
}

// What has content has space already, and keeps both.
void ImageFile::write_zeroes(uint64_t offset, uint64_t length) const {
  constexpr uint64_t max_piece = 256u << 10;
  constexpr uint64_t block = 512;
  std::vector<std::byte> piece(std::min(length, max_piece));
  for (uint64_t end = offset + length; offset < end; offset += piece.size()) {
    piece.resize(std::min<uint64_t>(end - offset, piece.size()));
    read_or_zero(piece, offset);
    REPLICATE_SYNC_POINT("qcow2.zeroes_for_space");
    if (util::is_zero(piece)) {
      write(piece, offset);
      continue;
    }
    for (uint64_t at = 0; at < piece.size(); at += block) {
      auto part = std::span(piece).subspan(at, std::min<uint64_t>(block, piece.size() - at));
      if (util::is_zero(part)) write(part, offset + at);
    }
  }
}

void ImageFile::reserve_if_possible(uint64_t offset, uint64_t length) const {
  observed({FileChange::Kind::reserve, offset, length}, [&] { (void)allocate(0, offset, length); });
}

void ImageFile::punch(uint64_t offset, uint64_t length) const noexcept {
  try {
    observed({FileChange::Kind::punch, offset, length},
             [&] { (void)allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length); });
  } catch (const util::Error &) {
  }
}

void ImageFile::set_length(uint64_t length) const {
  observed({FileChange::Kind::set_length, length}, [&] {
    if (::ftruncate(fd_.get(), static_cast<off_t>(length)) < 0) {
      util::fail_os(errno, "cannot set the length of {} to {}", path_, length);
    }
  });
}

void ImageFile::sync() const {
  observed({FileChange::Kind::sync}, [&] {
    if (::fdatasync(fd_.get()) < 0) util::fail_os(errno, "cannot sync {}", path_);
  });
}

void ImageFile::sync_and_forget() const {
  sync();
  (void)::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
}

}  // namespace qcow2
