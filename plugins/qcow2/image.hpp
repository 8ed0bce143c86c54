// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "plugins/qcow2/compressed/packed_store.hpp"
#include "plugins/qcow2/compressed/packer.hpp"
#include "plugins/qcow2/disk/layer.hpp"
#include "plugins/qcow2/file/image_name.hpp"
#include "plugins/qcow2/settings.hpp"
#include "plugins/qcow2/tables/cluster_allocator.hpp"
#include "plugins/qcow2/tables/completeness_mark.hpp"
#include "plugins/qcow2/tables/table_writer.hpp"
#include "plugins/qcow2/write/compressed_writer.hpp"
#include "plugins/qcow2/write/plain_writer.hpp"
#include "plugins/qcow2/write/zero_writer.hpp"

namespace qcow2 {

// An image that is open for writing. Passes each request to the writer or reader that serves it.
// May be used from any thread. No lock is held while data is read or written. Throws util::Error.
class Image {
 public:
  // The file must be open for writing and locked. backing may be null. Of the settings only those
  // for writing are used. If the image was not closed cleanly its refcounts are rebuilt first.
  // name: with seal=; may be null. made_dirty: it was closed cleanly, and has been marked dirty since.
  Image(ImageFile file, const Header &header, std::unique_ptr<Disk> backing,
        const Settings &settings, util::Log log, std::unique_ptr<ImageName> name = nullptr,
        bool made_dirty = false);
  ~Image();

  uint64_t size() const { return layer_->size(); }                           // bytes
  uint64_t cluster_size() const { return layer_->geometry.cluster_size(); }  // bytes

  std::vector<std::string> uuids() const { return layer_->uuids(); }  // see Disk
  ImageName *name() { return name_.get(); }                           // null without seal=
  CompletenessMark &mark() { return *mark_; }

  // Ranges must be within size(). trim() leaves clusters unchanged that are only in part in the
  // range.
  void read(std::span<std::byte> buffer, uint64_t offset) const;
  void write(std::span<const std::byte> data, uint64_t offset);
  void zero(uint64_t offset, uint64_t length);
  void trim(uint64_t offset, uint64_t length);
  // With seal= or state=, ESTALE if the file is not there any more under its name: what is durable is of
  // no use then.
  void flush();
  // As flush(), for one request with FUA: it does not count as a flush for is_flushed().
  void make_durable();
  // Whether a flush has begun after the last change had ended, and has succeeded.
  bool is_flushed() const { return flushed_.load() == changes_.load(); }
  void extents(extents::Range range, const ExtentSink &sink) const;

  // Only for a new image, and before other threads use it.
  void preallocate(Preallocate how);

  // Called for each connection. The last detach() finalises the image, and logs a failure. Until it
  // has ended attach() waits.
  void attach() ABSL_LOCKS_EXCLUDED(mutex_);
  void detach() noexcept ABSL_LOCKS_EXCLUDED(mutex_);

  // Throws util::Error ESTALE if the file does not have its name any more.
  void check_named() const;

  // Makes the image clean on disk, see lifecycle/finalise.hpp. The next change marks it dirty
  // again. No request may be running.
  void finalise();

 private:
  void finalise_or_log() noexcept;
  uint64_t write_some(std::span<const std::byte> data, uint64_t offset);
  void zero_partial_clusters(uint64_t offset, uint64_t length);

  const util::Log log_;
  const bool tracked_;  // somebody is to say that the image is complete
  const std::unique_ptr<ImageName> name_;
  std::unique_ptr<CompletenessMark> mark_;
  // The layer owns the file that the others use as well.
  std::unique_ptr<ClusterAllocator> allocator_;
  std::unique_ptr<HostClusters> packed_store_;  // these two: null without compress=
  std::unique_ptr<Packer> packer_;
  std::unique_ptr<Layer> layer_;
  std::unique_ptr<TableWriter> tables_;
  std::unique_ptr<PlainWriter> plain_;
  std::unique_ptr<CompressedWriter> compressed_;  // null without compress=
  std::unique_ptr<ZeroWriter> zeroes_;

  std::atomic<uint64_t> changes_ = 1;  // requests that change the disk and have ended
  std::atomic<uint64_t> flushed_ = 0;  // changes_ at the begin of the latest flush that succeeded

  util::Mutex mutex_;  // not held while the image is finalised
  util::Condition finalised_;
  unsigned connections_ ABSL_GUARDED_BY(mutex_) = 0;
  bool finalising_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace qcow2
