// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/util/fd.hpp"

namespace qcow2 {

// Writes three buffers, some of them perhaps empty, one after the other at the offset, in one call
// where the system can. Throws util::Error.
void write_all(const util::Fd &fd, std::array<std::span<const std::byte>, 3> buffers,
               uint64_t offset, const std::string &path);

}  // namespace qcow2
