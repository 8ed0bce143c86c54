// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/image.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "plugins/qcow2/lifecycle/finalise.hpp"
#include "plugins/qcow2/tables/table_check.hpp"

namespace qcow2 {

namespace {

// A request that changes the disk: counted when it has ended, before it is acknowledged, also if it has
// failed.
class Change {
 public:
  explicit Change(std::atomic<uint64_t> &count) : count_(count) {}
  ~Change() { count_.fetch_add(1); }
  Change(const Change &) = delete;
  Change &operator=(const Change &) = delete;

 private:
  std::atomic<uint64_t> &count_;
};

}  // namespace

// Each part gets those it uses: the packer allocates; the layer, which owns the file, reads
// compressed clusters from the packer while they are not in the file; a sync of the table writer
// writes out what the packer has before it syncs the file.
Image::Image(ImageFile opened, const Header &header, std::unique_ptr<Disk> backing,
             const Settings &settings, util::Log log, std::unique_ptr<ImageName> name,
             bool made_dirty)
    : log_(std::move(log)), tracked_(settings.is_tracked()), name_(std::move(name)) {
  const Geometry geometry(header);
  auto owned = std::make_unique<ImageFile>(std::move(opened));
  ImageFile &file = *owned;
  check_length(file, geometry);
  uint64_t end = Geometry::divide_up(file.size(), header.cluster_size());
  AtomicBitmap used(end);
  auto blocks = read_refcount_blocks(file, header, used);
  const bool on_disk = file.allow_direct();
  allocator_ = std::make_unique<ClusterAllocator>(geometry, file, end, std::move(blocks));
  if (settings.compression) {
    packed_store_ = std::make_unique<HostClusters>(file, *allocator_);
    packer_ =
        std::make_unique<Packer>(geometry.cluster_bits(), geometry.max_refcount(), *packed_store_);
  }
  layer_ = std::make_unique<Layer>(std::move(owned), header, std::move(backing),
                                   settings.l2_cache_bytes, &used, packer_.get());
  mark_ = std::make_unique<CompletenessMark>(file, header, name_.get(), settings.is_tracked());
  tables_ =
      std::make_unique<TableWriter>(file, header, layer_->map, *allocator_, packer_.get(), *mark_);
  if (on_disk) allocator_->reserve_ahead();
  if (tables_->is_dirty()) {
    if (!made_dirty) {
      log_.warning("{} was not closed cleanly: rebuilding its refcounts", file.path());
    }
    qcow2::finalise(*layer_, *allocator_, *tables_, log_);
  }
  plain_ = std::make_unique<PlainWriter>(*layer_, *allocator_, *tables_, settings.detect_zeroes);
  if (settings.compression) {
    compressed_ = std::make_unique<CompressedWriter>(*layer_, *allocator_, *tables_, *packer_,
                                                     *settings.compression, settings.detect_zeroes);
  }
  zeroes_ = std::make_unique<ZeroWriter>(*layer_, *tables_, compressed_.get());
}

Image::~Image() = default;

void Image::preallocate(Preallocate how) {
  qcow2::preallocate(*layer_, *allocator_, *tables_, how);
  finalise();
}

void Image::attach() {
  util::MutexLock lock(mutex_);
  while (finalising_) finalised_.wait(lock);
  ++connections_;
}

void Image::detach() noexcept {
  {
    util::MutexLock lock(mutex_);
    if (--connections_ > 0) return;
    finalising_ = true;
  }
  finalise_or_log();
  util::MutexLock lock(mutex_);
  finalising_ = false;
  finalised_.notify_all();
}

void Image::finalise_or_log() noexcept {
  try {
    finalise();
  } catch (const std::exception &e) {
    log_.error("{}: not closed cleanly, qemu-img check -r all repairs it: {}", layer_->file.path(),
               e.what());
  }
}

void Image::finalise() {
  if (compressed_) compressed_->close();
  layer_->compressed.forget();  // free host clusters may be allocated again
  qcow2::finalise(*layer_, *allocator_, *tables_, log_);
}

// A change that is running when the flush begins is not covered by it, and counts when it ends. Flushes may
// end in another order than they have begun: the latest one decides.
void Image::flush() {
  uint64_t before = changes_.load();
  make_durable();
  REPLICATE_SYNC_POINT("qcow2.flush_done");
  for (uint64_t seen = flushed_.load(); seen < before;) {
    if (flushed_.compare_exchange_weak(seen, before)) break;
  }
}

void Image::make_durable() {
  if (compressed_) compressed_->complete_all();
  tables_->flush();
  if (tracked_) check_named();
}

void Image::check_named() const {
  const util::Fd &fd = layer_->file.fd();
  std::string path = layer_->file.path();
  if (name_) path = name_->is_final() ? name_->file() : partial_name(name_->file());
  if (is_named(fd, path)) return;
  // Another thread may just have made it partial.
  if (name_ && !name_->is_final() && is_named(fd, partial_name(name_->file()))) return;
  util::fail(ESTALE, "{} is no longer the file that is written: it was moved or replaced", path);
}

void Image::read(std::span<std::byte> buffer, uint64_t offset) const {
  if (compressed_) {
    compressed_->read(buffer, offset);
  } else {
    layer_->read(buffer, offset);
  }
}

void Image::extents(extents::Range range, const ExtentSink &sink) const {
  if (compressed_) {
    compressed_->extents(range, sink);
  } else {
    layer_->extents(range, sink);
  }
}

void Image::write(std::span<const std::byte> data, uint64_t offset) {
  Change change(changes_);
  REPLICATE_SYNC_POINT("qcow2.write_begun");
  while (!data.empty()) {
    uint64_t n = write_some(data, offset);
    data = data.subspan(n);
    offset += n;
  }
}

// Writes as much as can be written in one way. Returns the number of bytes: 0 after waiting for
// another thread.
uint64_t Image::write_some(std::span<const std::byte> data, uint64_t offset) {
  uint64_t cluster = layer_->geometry.cluster_of(offset);
  if (plain_->is_zero_cluster(data, offset, cluster)) {
    zeroes_->zero(cluster);
    return layer_->geometry.end_of(cluster) - offset;
  }
  auto part = data.first(std::min(data.size(), layer_->geometry.end_of(cluster) - offset));
  if (compressed_) {
    if (compressed_->write(part, offset)) return part.size();
    data = part;
  } else if (plain_->is_zero(part) && zeroes_->zero_without_data({offset, part.size()})) {
    return part.size();
  }
  return plain_->write(data, offset);
}

void Image::zero(uint64_t offset, uint64_t length) {
  Change change(changes_);
  const Geometry &geometry = layer_->geometry;
  uint64_t end = offset + length;
  if (compressed_) zero_partial_clusters(offset, length);
  while (offset < end) {
    uint64_t cluster = geometry.cluster_of(offset);
    uint64_t stop = std::min(end, geometry.end_of(cluster));
    if (!layer_->backing && !layer_->map.has_table(cluster)) {
      uint64_t next = (geometry.table_of(cluster) + 1) * geometry.l2_entries();
      stop = std::min(end, geometry.start_of(next));
    } else if (geometry.start_of(cluster) == offset && geometry.end_of(cluster) == stop) {
      zeroes_->zero(cluster);
    } else if (!zeroes_->zero_without_data({offset, stop - offset})) {
      write(std::vector<std::byte>(stop - offset), offset);
    }
    offset = stop;
  }
}

void Image::trim(uint64_t offset, uint64_t length) {
  const Geometry &geometry = layer_->geometry;
  uint64_t end = offset + length;
  uint64_t first = Geometry::round_up(offset, geometry.cluster_size());
  uint64_t last = end == size() ? end : geometry.start_of(geometry.cluster_of(end));
  if (first < last) zero(first, last - first);
}

// First, so that for the rest of zero() the tables alone say what is zero.
void Image::zero_partial_clusters(uint64_t offset, uint64_t length) {
  const Geometry &geometry = layer_->geometry;
  for (uint64_t cluster : compressed_->partial_clusters({offset, length})) {
    uint64_t start = std::max(offset, geometry.start_of(cluster));
    uint64_t stop = std::min(offset + length, geometry.end_of(cluster));
    if (start == geometry.start_of(cluster) && stop == geometry.end_of(cluster)) {
      zeroes_->zero(cluster);
    } else {
      write(std::vector<std::byte>(stop - start), start);
    }
  }
}

}  // namespace qcow2
