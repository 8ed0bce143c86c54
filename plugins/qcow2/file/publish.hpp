// SPDX-License-Identifier: BSD-3-Clause
//
// Gives a complete file its final name.
#pragma once

#include <string>

namespace qcow2 {

// The name of an image until it is complete, with seal=on: PATH.partial.
std::string partial_name(const std::string &path);

// Renames `from` to `to`, then syncs the directory of `to`: the new name is durable when this
// returns. The content of the file must be durable already. With replace the file takes the place
// of one that exists. Without it that is an error, EEXIST (on a file system without
// RENAME_NOREPLACE it is not noticed, and the file is replaced). Throws util::Error; if only the
// sync has failed the file has its new name.
void publish(const std::string &from, const std::string &to, bool replace);

}  // namespace qcow2
