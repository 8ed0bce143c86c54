// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <string>

#include "common/util/fd.hpp"

namespace qcow2 {

// The name of an image until it is complete: FILE.partial.
std::string partial_name(const std::string &file);

// Whether the open file is the one of that name. True if that cannot be told (as another user, with nbdkit -u).
bool is_named(const util::Fd &file, const std::string &path);

// With seal=: which of its two names an image has. The functions of one image are not called by two
// threads at the same time, except for is_final().
class ImageName {
 public:
  ImageName(std::string file, bool is_final) : file_(std::move(file)), is_final_(is_final) {}

  const std::string &file() const { return file_; }
  bool is_final() const { return is_final_.load(); }

  // Before the first change: the image is FILE.partial, durably, when this returns. Throws
  // util::Error EEXIST if there is a FILE.partial that is another file.
  void make_partial();
  // The image is complete, and durable: it is FILE, durably, when this returns. replace: also in
  // place of a file of that name.
  void make_final(bool replace);

 private:
  const std::string file_;
  std::atomic<bool> is_final_;
};

}  // namespace qcow2
