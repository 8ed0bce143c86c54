// SPDX-License-Identifier: BSD-3-Clause
//
// The names of images that are being created, FILE.tmp-UUID, and what is left of them when a process is killed
// meanwhile.
#pragma once

#include <string>

namespace qcow2 {

// A new one, for an image that is to be called `path`.
std::string unfinished_name(const std::string &path);

// Removes the files with such a name that no process holds (file/image_lock.hpp). Errors are ignored: they only
// take space. Where images are not locked (lock=off) this must not be called: who creates one then is not known.
void remove_unfinished_images(const std::string &path) noexcept;

}  // namespace qcow2
