// SPDX-License-Identifier: BSD-3-Clause
//
// An image that is written and read by many threads at once: the data path.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plugins/qcow2/compressed/codec.hpp"
#include "plugins/qcow2/connections.hpp"
#include "plugins/qcow2/disk/layer.hpp"
#include "plugins/qcow2/tables/table_writer.hpp"
#include "plugins/qcow2/lifecycle/preallocate.hpp"

namespace qcow2 {

class Claims;
class CompressedWriter;

struct Settings {
  bool detect_zeroes = true;
  size_t l2_cache_bytes = 32u << 20;
  // Of the type that the image has; none: new clusters are stored as they are.
  std::optional<Compression> compression;
};

// May be used from any thread; no lock is held while data is read or written. Data goes straight to
// its place in the file: an allocated cluster is written in place, a run of others gets fresh
// clusters in a row, which are linked when the data is there. While a thread fills a cluster it has
// a claim on the L2 entry; who writes another part of the cluster waits for that, and then writes
// in place. Throws util::Error.
class Image {
 public:
  // Opens an image whose descriptor is open for writing and locked. An image that was not closed
  // cleanly gets new refcounts first. backing may be null.
  Image(ImageFile file, const Header &header, std::unique_ptr<Source> backing,
        const Settings &settings, util::Log log);
  ~Image();

  uint64_t size() const { return layer_->size(); }                           // bytes
  uint64_t cluster_size() const { return layer_->geometry.cluster_size(); }  // bytes

  // Ranges must be within size(). In trim, clusters that are not whole are left as they are.
  void read(std::span<std::byte> buffer, uint64_t offset) const;
  void write(std::span<const std::byte> data, uint64_t offset);
  void zero(uint64_t offset, uint64_t length);
  void trim(uint64_t offset, uint64_t length);
  void flush();
  // The same for one request (FUA): it does not mean that the client has come to an end.
  void make_durable();
  // Whether there was a flush since this was opened, and nothing was changed after it.
  bool is_flushed() const { return flushed_.load() == changes_.load(); }
  void extents(extents::Range range, const ExtentSink &sink) const;

  // For a new image, before anybody else uses it.
  void preallocate(Preallocate how) { qcow2::preallocate(*layer_, *metadata_, how); }

  // One for each connection. The image is finalised (as by finalise()) when the last has gone; a
  // failure then goes to the log.
  void attach() { connections_.attach(); }
  void detach() noexcept { connections_.detach(); }

  // Closes the image cleanly; what is written later opens it again. No request may be running.
  void finalise();

 private:
  void close() noexcept;
  uint64_t write_some(std::span<const std::byte> data, uint64_t offset);
  uint64_t write_in_place(std::span<const std::byte> data, uint64_t offset, Entry first,
                          Entries &entries);
  uint64_t write_fresh(std::span<const std::byte> data, uint64_t offset);
  void link_fresh(std::span<const std::byte> data, uint64_t offset, Claims &claims);
  void zero_cluster(uint64_t cluster);
  void zero_entry(uint64_t cluster);
  void zero_gathered(uint64_t offset, uint64_t length);
  void zero_part(uint64_t offset, uint64_t length);
  bool is_whole_and_zero(std::span<const std::byte> data, uint64_t offset, uint64_t cluster) const;
  std::vector<std::byte> fill(Entry entry, uint64_t from, uint64_t to) const;

  const bool detect_zeroes_;
  const util::Log log_;
  std::unique_ptr<Layer> layer_;
  std::unique_ptr<Metadata> metadata_;
  std::unique_ptr<CompressedWriter> compressed_;  // null if new clusters are stored as they are
  std::atomic<uint64_t> changes_ = 1;             // requests, counted before they are done
  std::atomic<uint64_t> flushed_ = 0;             // of changes_, when the last flush began
  Connections connections_;
};

}  // namespace qcow2
