// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/image_file.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/util/error.hpp"

namespace qcow2 {

namespace {

std::vector<std::byte> joined(const std::array<std::span<const std::byte>, 3> &buffers) {
  std::vector<std::byte> all;
  for (const auto &buffer : buffers) all.insert(all.end(), buffer.begin(), buffer.end());
  return all;
}

// fallocate in a loop around signals; returns the errno, or 0.
int allocate(const util::Fd &fd, int mode, uint64_t offset, uint64_t length) noexcept {
  int r;
  do {
    r = ::fallocate(fd.get(), mode, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (r < 0 && errno == EINTR);
  return r < 0 ? errno : 0;
}

}  // namespace

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

void ImageFile::write(Bytes head, Bytes data, Bytes tail, uint64_t offset) const {
  const std::array<Bytes, 3> buffers = {head, data, tail};
  FileChange change{FileChange::Kind::write, offset};
  if (observer_ != nullptr) change.bytes = joined(buffers);
  observed(std::move(change), [&] {
    std::array<iovec, 3> vectors;
    for (size_t i = 0; i < buffers.size(); ++i) {
      vectors[i] = {const_cast<std::byte *>(buffers[i].data()), buffers[i].size()};
    }
    ssize_t n;
    do {
      n = ::pwritev(fd_.get(), vectors.data(), vectors.size(), static_cast<off_t>(offset));
    } while (n < 0 && errno == EINTR);
    if (n < 0) util::fail_os(errno, "cannot write at offset {} of {}", offset, path_);
    // Seldom: the rest of a short write, buffer by buffer.
    auto written = static_cast<size_t>(n);
    uint64_t at = offset;
    for (const auto &buffer : buffers) {
      size_t done = std::min(written, buffer.size());
      written -= done;
      util::write_at(fd_, buffer.subspan(done), at + done, path_);
      at += buffer.size();
    }
  });
}

void ImageFile::reserve(uint64_t offset, uint64_t length) const {
  observed({FileChange::Kind::reserve, offset, length}, [&] {
    int error = allocate(fd_, 0, offset, length);
    if (error == 0) return;
    if (error != EOPNOTSUPP && error != ENOSYS) {
      util::fail_os(error, "cannot reserve {} bytes at offset {} of {}", length, offset, path_);
    }
    std::vector<std::byte> zeroes(length);
    util::write_at(fd_, zeroes, offset, path_);
  });
}

void ImageFile::punch(uint64_t offset, uint64_t length) const noexcept {
  try {
    observed({FileChange::Kind::punch, offset, length}, [&] {
      (void)allocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
    });
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

}  // namespace qcow2
