// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>

#include "plugins/qcow2/file/data_sync.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/tables/completeness_mark.hpp"

namespace qcow2 {

// The dirty bit in the header of an image that is open for writing, and the other fields that
// change with it.
//
// The bit is durable before anything else in the file changes, until the image is closed. While it
// is set the refcounts are not valid, and a program that opens the image rebuilds them from the
// tables.
class DirtyBit {
 public:
  // header: as on disk. mark: says no longer that the image is complete, before the bit is set. file, sync
  // and mark must outlive this.
  DirtyBit(const ImageFile &file, const Header &header, DataSync &sync, CompletenessMark &mark);

  bool is_set() const { return state_.load() == State::dirty; }

  // The bit is durable when this returns. May be called from any thread. Throws util::Error; the
  // next call tries again.
  void set();

  // Writes where the refcount table is and that the image is clean, and syncs. The tables and the
  // refcounts must be durable before the call, and no other thread may use this. Throws
  // util::Error; the image is then still dirty.
  void clear(RefcountTable table);

  // As on disk, except for the feature bits. Not while another thread calls set().
  const Header &header() const { return header_; }

 private:
  enum class State : uint8_t { clean, marking, dirty };

  void write_features() const;
  void write_refcount_table(RefcountTable table);

  const ImageFile &file_;
  DataSync &sync_;
  CompletenessMark &mark_;
  std::atomic<State> state_;
  Header header_;  // changed by the thread whose state is `marking`, and by clear()
};

}  // namespace qcow2
