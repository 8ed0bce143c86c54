// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

namespace qcow2 {

// The name that an image has until it is sealed: PATH.partial.
std::string partial_name(const std::string &path);

// Gives the image, which is closed cleanly, its name. replace: in place of a file that is there; else
// that is an error (EEXIST). Durable when it returns. Throws util::Error.
void seal(const std::string &path, bool replace);

// Renames a file, durably; see seal().
void publish(const std::string &from, const std::string &to, bool replace);

}  // namespace qcow2
