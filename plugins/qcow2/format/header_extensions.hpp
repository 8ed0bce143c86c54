// SPDX-License-Identifier: BSD-3-Clause
//
// What follows the header in the first cluster: the header extensions, and the backing file name.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "plugins/qcow2/format/header.hpp"

namespace qcow2 {

// `out` is the first cluster, with the header in it. Throws util::Error ENAMETOOLONG.
void append_extensions(const Header &header, std::vector<std::byte> &out);

// `start` is the first cluster; the first extension is at `from`. `path` is for messages. Throw
// util::Error EINVAL or ENOTSUP.
void decode_extensions(std::span<const std::byte> start, size_t from, Header &header,
                       const std::string &path);
void decode_backing(std::span<const std::byte> start, Header &header, const std::string &path);

}  // namespace qcow2
