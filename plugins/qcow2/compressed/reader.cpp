// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/compressed/reader.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"

namespace qcow2 {

namespace {

constexpr size_t kept_bytes = 8u << 20;

}  // namespace

CompressedReader::CompressedReader(CompressionType type, uint32_t cluster_bits,
                                   const ImageFile &file, const Packer *packer)
    : cluster_bits_(cluster_bits),
      max_kept_(std::clamp<size_t>(kept_bytes >> cluster_bits, 4, 64)),
      file_(file),
      packer_(packer),
      decompressors_(codec_pool_size(), [type] { return std::make_unique<Decompressor>(type); }) {}

void CompressedReader::read(Entry entry, uint64_t from, std::span<std::byte> buffer) {
  if (from == 0 && buffer.size() == uint64_t{1} << cluster_bits_) {
    decompress(entry, buffer);
    return;
  }
  auto bytes = whole(entry);
  std::copy_n(bytes->begin() + static_cast<std::ptrdiff_t>(from), buffer.size(), buffer.begin());
}

void CompressedReader::decompress(Entry entry, std::span<std::byte> cluster) {
  CompressedRange range = compressed_range(entry, cluster_bits_);
  auto data = std::make_unique_for_overwrite<std::byte[]>(range.length);
  std::span<std::byte> bytes(data.get(), range.length);
  if (packer_ == nullptr || !packer_->read(bytes, range.offset)) {
    file_.read_or_zero(bytes, range.offset);
  }
  if (const char *reason = decompressors_.take()->decompress(bytes, cluster)) {
    util::fail(EIO,
               "{}: a compressed cluster of up to {} bytes at offset {} cannot be read, {}: the "
               "image is damaged, copy it again",
               file_.path(), range.length, range.offset, reason);
  }
  ++decompressed_;
}

std::vector<CompressedReader::Kept>::iterator CompressedReader::find(Entry entry) {
  return std::find_if(kept_.begin(), kept_.end(),
                      [&](const Kept &kept) { return kept.entry == entry; });
}

// False if every place is taken by a thread that is decompressing.
bool CompressedReader::make_room() {
  if (kept_.size() < max_kept_) return true;
  auto oldest = kept_.end();
  for (auto it = kept_.begin(); it != kept_.end(); ++it) {
    if (it->bytes && (oldest == kept_.end() || it->last_use < oldest->last_use)) oldest = it;
  }
  if (oldest == kept_.end()) return false;
  kept_.erase(oldest);
  return true;
}

std::shared_ptr<const CompressedReader::Bytes> CompressedReader::whole(Entry entry) {
  bool keep = false;
  {
    util::MutexLock lock(mutex_);
    for (auto it = find(entry); it != kept_.end(); it = find(entry)) {
      if (it->bytes) {
        it->last_use = ++clock_;
        return it->bytes;
      }
      ready_.wait(lock);
    }
    keep = make_room();
    if (keep) kept_.push_back({entry, ++clock_, nullptr});
  }
  auto bytes = std::make_shared<Bytes>(size_t{1} << cluster_bits_);
  try {
    decompress(entry, *bytes);
  } catch (...) {
    util::MutexLock lock(mutex_);
    if (keep) kept_.erase(find(entry));
    ready_.notify_all();
    throw;
  }
  if (keep) {
    util::MutexLock lock(mutex_);
    find(entry)->bytes = bytes;
    ready_.notify_all();
  }
  return bytes;
}

void CompressedReader::forget() {
  util::MutexLock lock(mutex_);
  std::erase_if(kept_, [](const Kept &kept) { return kept.bytes != nullptr; });
}

}  // namespace qcow2
