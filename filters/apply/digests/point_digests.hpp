// SPDX-License-Identifier: BSD-3-Clause
//
// The files of digests of a restore point: the one that a run makes, and the one that it is based on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/digests/digest_file.hpp"
#include "common/util/log.hpp"
#include "filters/apply/delta/delta_map.hpp"

namespace apply {

// What the run makes digests of.
struct Point {
  std::string held;  // the checkpoint that the destination held before; empty: none that is known
  std::string checkpoint;  // and that it holds in the end
  uint64_t size = 0;       // of the destination, in bytes
  std::string image;       // its export description: may say which image it is
};

// While a run makes it, FILE is called FILE.partial. An earlier FILE stays there until then, unless it is of the same
// checkpoint, so that nothing would tell that the image is being changed. Used by one thread at a time, but for
// file(), base() and unchanged().
class PointDigests {
 public:
  // path: apply-digests=. parent: apply-digests-parent=, empty: none. delta: what the run may change, which must
  // outlive it. Begins FILE.partial, durably if there is a base. Logs why there is none, if somebody would expect one.
  // Throws util::Error.
  PointDigests(const std::string &path, const std::string &parent, const Point &point,
               const DeltaMap &delta, const util::Log &log);

  digests::DigestFile &file() { return *file_; }
  // Digests with the same key, of what the destination held before the run, or before the run that was cut off and
  // that this one continues: FILE's of an earlier run, or the parent's. Null if there are none.
  const digests::DigestFile *base() const { return base_ ? &*base_ : nullptr; }
  // Of blocks from `first` on, whether the base has their digests.
  std::vector<bool> unchanged(uint64_t first, uint64_t count) const;

  // Durably: all digests have been written, and FILE has its name. Throws util::Error.
  void complete();
  bool completed() const { return completed_; }
  // Durably: FILE is FILE.partial again. Throws util::Error.
  void reopen();

 private:
  void continue_partial(const Point &point);
  void find_base(const std::string &parent, const Point &point, const util::Log &log);
  void keep_changed();
  void remove_of(const std::string &checkpoint) const;

  const std::string path_;
  const std::string partial_;
  const DeltaMap &delta_;
  std::string since_;  // the checkpoint that a base must be of
  std::vector<std::byte>
      earlier_;  // bits: what runs that were cut off may have changed since then; empty: nothing
  std::optional<digests::DigestFile> base_;
  std::optional<digests::DigestFile> file_;  // set by the constructor
  bool completed_ = false;
};

}  // namespace apply
