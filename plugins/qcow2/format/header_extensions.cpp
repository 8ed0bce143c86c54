// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/format/header_extensions.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/big_endian.hpp"

namespace qcow2 {

namespace {

constexpr uint32_t end_of_extensions = 0;
constexpr uint32_t backing_format_extension = 0xe2792aca;
constexpr uint32_t bitmaps_extension = 0x23852875;

size_t round_up8(size_t n) {
  return (n + 7) & ~uint64_t{7};
}

// "nbd://...", "json:{...}": a colon before the first slash.
bool names_a_protocol(const std::string &name) {
  auto colon = name.find(':');
  return colon != std::string::npos && name.find('/') > colon;
}

constexpr size_t extension_head = 8;  // type, length

// Returns where the next one begins.
size_t store_extension(std::vector<std::byte> &out, size_t at, uint32_t type,
                       std::span<const std::byte> data) {
  store_be(&out[at], type);
  store_be(&out[at + 4], static_cast<uint32_t>(data.size()));
  std::copy(data.begin(), data.end(), out.begin() + static_cast<std::ptrdiff_t>(at + 8));
  return at + extension_head + round_up8(data.size());
}

}  // namespace

void append_extensions(const Header &h, std::vector<std::byte> &out) {
  auto format = std::as_bytes(std::span(h.backing_format));
  size_t needed = Header::length + extension_head;  // with the end marker
  if (!h.backing_file.empty()) {
    needed += extension_head + round_up8(format.size()) + h.backing_file.size();
  }
  if (h.identity) needed += extension_head + Identity::least;
  if (h.backing_file.size() > max_backing_name || needed > out.size()) {
    util::fail(ENAMETOOLONG,
               "backing={}: the name is too long for the header of an image with "
               "clusters of {} bytes",
               h.backing_file, out.size());
  }
  size_t at = Header::length;
  if (!h.backing_file.empty()) at = store_extension(out, at, backing_format_extension, format);
  if (h.identity) {
    // The checkpoint comes when the image is complete; the label gives way to it.
    Identity identity = *h.identity;
    size_t room = (out.size() - needed) & ~size_t{7};
    size_t checkpoint = std::min(room, Identity::max_checkpoint);
    size_t label = std::min({identity.label.size(), room - checkpoint, Identity::max_label});
    identity.label.resize(label);
    size_t length = Identity::least + std::min(round_up8(label + checkpoint), room);
    at = store_extension(out, at, Identity::extension, encode(identity, length));
  }
  at += extension_head;  // of the end marker, which is zeroes
  if (h.backing_file.empty()) return;
  store_be(&out[8], static_cast<uint64_t>(at));
  store_be(&out[16], static_cast<uint32_t>(h.backing_file.size()));
  std::memcpy(&out[at], h.backing_file.data(), h.backing_file.size());
}

void decode_extensions(std::span<const std::byte> start, size_t from, Header &h,
                       const std::string &path) {
  size_t at = from;
  while (at + 8 <= start.size()) {
    uint32_t type = load_be<uint32_t>(&start[at]);
    uint32_t length = load_be<uint32_t>(&start[at + 4]);
    if (type == end_of_extensions) return;
    at += 8;
    if (length > start.size() - at) {
      util::fail(EINVAL, "{}: header extension {:#x} of {} bytes does not fit the first cluster",
                 path, type, length);
    }
    if (type == backing_format_extension) {
      h.backing_format.assign(reinterpret_cast<const char *>(&start[at]), length);
    }
    if (type == bitmaps_extension) h.has_bitmaps = true;
    if (type == Identity::extension) {
      h.identity = decode_identity(start.subspan(at, length));
      h.identity_at = at;
      h.identity_length = length;
    }
    at += std::min<uint64_t>(round_up8(length), start.size() - at);
  }
}

void decode_backing(std::span<const std::byte> start, Header &h, const std::string &path) {
  uint64_t offset = load_be<uint64_t>(&start[8]);
  uint32_t length = load_be<uint32_t>(&start[16]);
  if (offset == 0) return;
  if (length == 0 || length > max_backing_name || offset > start.size() ||
      length > start.size() - offset) {
    util::fail(EINVAL, "{}: the backing file name ({} bytes at offset {}) is not within the header",
               path, length, offset);
  }
  h.backing_file.assign(reinterpret_cast<const char *>(&start[offset]), length);
  if (h.backing_file.find('\0') != std::string::npos || names_a_protocol(h.backing_file)) {
    util::fail(ENOTSUP, "{}: the backing file must be a plain file, not {}", path, h.backing_file);
  }
}

}  // namespace qcow2
