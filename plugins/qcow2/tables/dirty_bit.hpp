// SPDX-License-Identifier: BSD-3-Clause
//
// The header of an image that is open for writing: what of it changes, and when.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/lifecycle/refcount_writer.hpp"

namespace qcow2 {

// On disk the image is marked dirty from before the first change of anything else until it is closed:
// so long its refcounts say nothing, and whoever opens it rebuilds them from the tables.
class LiveHeader {
 public:
  // `header` is as on disk. file must outlive this. sync: makes durable what has been written to the
  // file, or throws util::Error.
  LiveHeader(const ImageFile &file, const Header &header, std::function<void()> sync);

  bool is_dirty() const { return state_.load() == State::dirty; }

  // When it returns the dirty bit is durable. Any thread; throws util::Error, and then it may be
  // tried again.
  void set_dirty();

  // Writes where the refcount table lies and that the image is clean, and syncs. What the tables and
  // refcounts say must be durable. When no other thread uses this. Throws util::Error; the image
  // stays dirty then.
  void set_clean(RefcountTable table);

  // As on disk, but for the features. Not while another thread marks it dirty.
  const Header &fields() const { return header_; }

 private:
  enum class State : uint8_t { clean, marking, dirty };

  void write_features() const;
  void write_refcount_table(RefcountTable table);

  const ImageFile &file_;
  const std::function<void()> sync_;
  std::atomic<State> state_;
  Header header_;  // changed by the thread that is marking, and by set_clean()
};

}  // namespace qcow2
