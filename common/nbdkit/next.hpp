// SPDX-License-Identifier: BSD-3-Clause
//
// The layer below a filter: the next filter or the plugin.
#pragma once

#include <nbdkit-filter.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/nbdkit/types.hpp"

namespace nbdkit {

enum class Zero {
  none = NBDKIT_ZERO_NONE,
  emulate = NBDKIT_ZERO_EMULATE,
  native = NBDKIT_ZERO_NATIVE
};

// A borrowed reference to the layer below, valid as long as the connection it was handed to. Every
// method throws Reported if the layer below fails (it has said why). nbdkit asserts its own rules:
// no count of 0, nothing past the end, no write where can_write() is false.
class Next {
 public:
  explicit Next(nbdkit_next *next) : next_(next) {}

  uint64_t get_size() const { return static_cast<uint64_t>(check(next_->get_size(next_))); }
  // Empty if there is none.
  std::string export_description() const {
    const char *text = next_->export_description(next_);
    return text == nullptr ? "" : text;
  }
  BlockSize block_size() const {
    BlockSize size;
    check(next_->block_size(next_, &size.minimum, &size.preferred, &size.maximum));
    return size;
  }

  bool can_write() const { return check(next_->can_write(next_)) != 0; }
  bool can_flush() const { return check(next_->can_flush(next_)) != 0; }
  bool is_rotational() const { return check(next_->is_rotational(next_)) != 0; }
  bool can_trim() const { return check(next_->can_trim(next_)) != 0; }
  Zero can_zero() const { return Zero(check(next_->can_zero(next_))); }
  bool can_fast_zero() const { return check(next_->can_fast_zero(next_)) != 0; }
  bool can_extents() const { return check(next_->can_extents(next_)) != 0; }
  Fua can_fua() const { return Fua(check(next_->can_fua(next_))); }
  bool can_multi_conn() const { return check(next_->can_multi_conn(next_)) != 0; }
  Cache can_cache() const { return Cache(check(next_->can_cache(next_))); }

  void pread(std::span<std::byte> buffer, uint64_t offset) const {
    int err = 0;
    int r = next_->pread(next_, buffer.data(), count(buffer.size()), offset, 0, &err);
    check(r, err);
  }
  void pwrite(std::span<const std::byte> buffer, uint64_t offset, uint32_t flags) const {
    int err = 0;
    int r = next_->pwrite(next_, buffer.data(), count(buffer.size()), offset, flags, &err);
    check(r, err);
  }
  void flush() const {
    int err = 0;
    int r = next_->flush(next_, 0, &err);
    check(r, err);
  }
  void trim(uint32_t count, uint64_t offset, uint32_t flags) const {
    int err = 0;
    int r = next_->trim(next_, count, offset, flags, &err);
    check(r, err);
  }
  void zero(uint32_t count, uint64_t offset, uint32_t flags) const {
    int err = 0;
    int r = next_->zero(next_, count, offset, flags, &err);
    check(r, err);
  }
  void cache(uint32_t count, uint64_t offset) const {
    int err = 0;
    int r = next_->cache(next_, count, offset, 0, &err);
    check(r, err);
  }

  // What the layer below says of [offset, offset + count), in order, clipped to it. It may stop
  // early, but says something of the first byte. flags: 0 or NBDKIT_FLAG_REQ_ONE.
  std::vector<extents::Extent> extents(uint32_t count, uint64_t offset, uint32_t flags = 0) const;

 private:
  static uint32_t count(size_t bytes) { return static_cast<uint32_t>(bytes); }
  // Not check(f(&err), err): nothing says that err is read after the call.
  template <typename T>
  static T check(T result, int err = EIO) {
    if (result < 0) throw Reported{err};
    return result;
  }
  nbdkit_next *next_;
};

inline std::vector<extents::Extent> Next::extents(uint32_t count, uint64_t offset,
                                                  uint32_t flags) const {
  struct Free {
    void operator()(nbdkit_extents *list) const { nbdkit_extents_free(list); }
  };
  std::unique_ptr<nbdkit_extents, Free> list(nbdkit_extents_new(offset, offset + count));
  if (!list) throw Reported{ENOMEM};
  int err = 0;
  int r = next_->extents(next_, count, offset, flags, list.get(), &err);
  check(r, err);

  std::vector<extents::Extent> result;
  for (size_t i = 0; i < nbdkit_extents_count(list.get()); ++i) {
    nbdkit_extent e = nbdkit_get_extent(list.get(), i);
    extents::Range part = extents::intersect({e.offset, e.length}, {offset, count});
    if (!part.empty()) result.push_back({part.offset, part.length, e.type});
  }
  if (result.empty()) throw Reported{EIO};
  return result;
}

// What a filter's after_fork, cleanup and open get to reach the layers below from a thread of their
// own.
class Backend {
 public:
  explicit Backend(nbdkit_backend *backend) : backend_(backend) {}
  nbdkit_backend *get() const { return backend_; }

 private:
  nbdkit_backend *backend_;
};

// A connection of our own to the layer below, for background threads: opened with shared=1, so it
// has no client and nbdkit_export_name() fails in it (a plugin that asks for the name cannot
// be opened so). It bypasses the thread model: use one per thread unless the model is PARALLEL.
class BackgroundNext {
 public:
  BackgroundNext(Backend backend, bool readonly, const std::string &export_name)
      : next_(nbdkit_next_context_open(backend.get(), readonly, export_name.c_str(), 1)) {
    if (!next_) throw Reported{EIO};
    if (next_->prepare(next_.get()) < 0) throw Reported{EIO};
    prepared_ = true;
    Next(next_.get()).get_size();  // nbdkit insists on it before any I/O
  }
  ~BackgroundNext() {
    if (next_ && prepared_) next_->finalize(next_.get());
  }
  BackgroundNext(const BackgroundNext &) = delete;
  BackgroundNext &operator=(const BackgroundNext &) = delete;

  Next next() const { return Next(next_.get()); }

 private:
  struct Close {
    void operator()(nbdkit_next *next) const { nbdkit_next_context_close(next); }
  };
  std::unique_ptr<nbdkit_next, Close> next_;
  bool prepared_ = false;
};

}  // namespace nbdkit
