// SPDX-License-Identifier: BSD-3-Clause
//
// The files of digests of a restore point: the one that a run makes, and the one that it is based on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/digests/digest_file.hpp"
#include "common/util/log.hpp"

namespace apply {

// What the run makes digests of.
struct Point {
  std::string held;  // the checkpoint that the destination held before; empty: none that is known
  std::string checkpoint;   // and that it holds in the end
  uint64_t size = 0;        // of the destination, in bytes
  std::string image;        // its export description: may say which image it is
  bool whole_disk = false;  // the delta is the whole disk: a base is of no use
};

// While a run makes it, FILE is called FILE.partial. An earlier FILE stays there until then, unless it is of the same
// checkpoint, so that nothing would tell that the image is being changed. Used by one thread at a time, but for
// file() and base().
class PointDigests {
 public:
  // path: apply-digests=. parent: apply-digests-parent=, empty: none. Begins FILE.partial. Logs why there is no
  // base, if somebody would expect one. Throws util::Error.
  PointDigests(const std::string &path, const std::string &parent, const Point &point,
               const util::Log &log);

  digests::DigestFile &file() { return file_; }
  // Digests of what the destination held before the run, with the same key: FILE's of an earlier run, or the
  // parent's. Null if there are none.
  const digests::DigestFile *base() const { return base_ ? &*base_ : nullptr; }

  // Durably: all digests have been written, and FILE has its name. Throws util::Error.
  void complete();
  bool completed() const { return completed_; }
  // Durably: FILE is FILE.partial again. Throws util::Error.
  void reopen();

 private:
  std::optional<digests::DigestFile> find_base(const std::string &parent, const Point &point,
                                               const util::Log &log) const;

  void remove_of(const std::string &checkpoint) const;

  const std::string path_;
  const std::string partial_;
  const std::optional<digests::DigestFile> base_;
  digests::DigestFile file_;
  bool completed_ = false;
};

}  // namespace apply
