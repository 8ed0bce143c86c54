// SPDX-License-Identifier: BSD-3-Clause
#include "common/digests/digest_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/durability/replace_file.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"

namespace digests {

namespace {

uint64_t place_of(uint64_t block) {
  return header_bytes + block * sizeof(Digest);
}

}  // namespace

DigestFile::DigestFile(std::string path, util::Fd fd, DigestHeader header)
    : path_(std::move(path)), fd_(std::move(fd)), header_(std::move(header)) {}

std::optional<DigestFile> DigestFile::open(const std::string &path, std::string_view remedy) {
  if (::access(path.c_str(), F_OK) < 0 && errno == ENOENT) return std::nullopt;
  util::Fd fd = util::open_file(path, O_RDONLY | O_NOFOLLOW);
  struct stat status = {};
  if (::fstat(fd.get(), &status) < 0) util::fail_os(errno, "{}", path);
  std::string text(std::min<uint64_t>(static_cast<uint64_t>(status.st_size), header_bytes), ' ');
  util::read_at(fd, std::as_writable_bytes(std::span(text)), 0, path);
  DigestHeader header = parse_digest_header(text, path, remedy);
  if (header.complete && static_cast<uint64_t>(status.st_size) != header.file_bytes()) {
    util::fail(EINVAL, "{}: the file has {} bytes and should have {}: {}", path, status.st_size,
               header.file_bytes(), remedy);
  }
  return DigestFile(path, std::move(fd), std::move(header));
}

DigestFile DigestFile::create(const std::string &path, const DigestHeader &header) {
  if (::unlink(path.c_str()) < 0 && errno != ENOENT) util::fail_os(errno, "cannot remove {}", path);
  util::Fd fd = util::open_file(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  DigestFile file(path, std::move(fd), header);
  file.write_header(false);
  return file;
}

void DigestFile::read(uint64_t first, std::span<Digest> digests) const {
  util::read_at(fd_, std::as_writable_bytes(digests), place_of(first), path_);
}

void DigestFile::write(uint64_t first, std::span<const Digest> digests) {
  util::write_at(fd_, std::as_bytes(digests), place_of(first), path_);
}

void DigestFile::set_changed(const std::string &since, std::span<const std::byte> changed) {
  util::write_at(fd_, changed, header_.file_bytes(), path_);
  sync();
  header_.since = since;
  write_header(false);
  sync();
  durability::sync_directory(util::directory_of(path_));
}

std::vector<std::byte> DigestFile::changed() const {
  std::vector<std::byte> bits((header_.blocks() + 7) / 8);
  util::read_at(fd_, bits, header_.file_bytes(), path_);
  return bits;
}

void DigestFile::complete() {
  header_.since.clear();
  if (::ftruncate(fd_.get(), static_cast<off_t>(header_.file_bytes())) < 0) {
    util::fail_os(errno, "cannot set the size of {}", path_);
  }
  sync();
  write_header(true);
  sync();
  durability::sync_directory(util::directory_of(path_));
}

void DigestFile::reopen() {
  write_header(false);
  sync();
}

void DigestFile::write_header(bool complete) {
  header_.complete = complete;
  const std::string text = format(header_);
  util::write_at(fd_, std::as_bytes(std::span(text)), 0, path_);
}

void DigestFile::sync() const {
  if (::fsync(fd_.get()) < 0) util::fail_os(errno, "cannot sync {}", path_);
}

}  // namespace digests
