// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <optional>
#include <string>

#include "common/util/mutex.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/file/image_name.hpp"
#include "plugins/qcow2/format/header.hpp"

namespace qcow2 {

// By what an image that is open for writing tells others whether it is complete: its name, with seal=, and
// the mark in its header extension, if it has one.
//
// It says that it is complete only while all of its content is that of the checkpoint, durably: the mark is
// taken back with the dirty bit, before the first change, and set after everything else.
class CompletenessMark {
 public:
  // header: as on disk. name: null without seal=. tracked: somebody will say when the image is complete;
  // without that, an image whose mark says nothing is left alone. file and name must outlive this.
  CompletenessMark(const ImageFile &file, const Header &header, ImageName *name, bool tracked);

  // Before the first change after the image was opened or closed, by one thread at a time: the name is
  // durable, and the mark is written but not synced, when this returns. Throws util::Error.
  void before_change() ABSL_LOCKS_EXCLUDED(mutex_);

  // The content is that of the checkpoint, and the image is clean, durably. Durable when this returns. Not
  // while the image is used. Throws util::Error; then the image does not say that it is complete.
  void set_complete(const std::string &checkpoint) ABSL_LOCKS_EXCLUDED(mutex_);

  // Of the image as it is now. Nothing if it has none.
  std::optional<Identity> identity() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void write(const Identity &identity) ABSL_LOCKS_EXCLUDED(mutex_);

  const ImageFile &file_;
  ImageName *const name_;
  const bool tracked_;
  const uint64_t at_;
  const uint32_t length_;
  mutable util::Mutex mutex_;  // held for no I/O
  std::optional<Identity> identity_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace qcow2
