// SPDX-License-Identifier: BSD-3-Clause
//
// What is done to the file of an image when it is closed: refcounts that agree with its tables are
// written, and what nothing refers to is given back.
#pragma once

#include <cstdint>

#include "plugins/qcow2/tables/cluster_allocator.hpp"
#include "plugins/qcow2/tables/atomic_bitmap.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/disk/layer.hpp"
#include "plugins/qcow2/lifecycle/refcount_writer.hpp"
#include "plugins/qcow2/lifecycle/shared_refcounts.hpp"

namespace qcow2 {

// The tables in the file are all there is: they have been flushed, and nothing changes while this
// lives. Nothing is synced. For one thread; throws util::Error. The methods in this order.
class Closing {
 public:
  // Reads all tables, for what they refer to, and puts right what COPIED bits are wrong. `header`
  // says where the L1 table lies. layer and allocator must outlive this.
  Closing(const Layer &layer, const Header &header, Allocator &allocator);

  // Returns where the refcount table lies; `table` is where it was. The end of the allocator is then
  // the end of what is used.
  RefcountTable write_refcounts(RefcountTable table);

  // Cuts off what was given out and never linked, and fills the last cluster. packed_end: behind the
  // packed data in the file; if that is what the file ends with, the file ends there too, as QEMU's
  // do. Returns the length in bytes.
  uint64_t set_length(uint64_t packed_end) const;

  // Punches out what nothing refers to. Only when the image is clean on disk: nor will anything refer
  // to it later then, for it is not given out again before the image is opened anew, and only if it
  // is at the end.
  void give_back_unused() const noexcept;

 private:
  void collect(uint64_t l1_offset, uint64_t l1_bytes);
  void count_shared(Sharing &sharing) const;

  const Layer &layer_;
  Allocator &allocator_;
  Bitmap used_;  // host clusters
  Sharing sharing_;
};

}  // namespace qcow2
