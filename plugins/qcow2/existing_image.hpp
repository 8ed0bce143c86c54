// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/settings.hpp"

namespace qcow2 {

// Refuses an image that can be read but not written. Throws util::Error ENOTSUP.
void check_writable(const Header &header, const std::string &path);

// Refuses settings that contradict the header of the image. Throws util::Error; the text names the
// parameter.
void check_settings(const Settings &settings, const Header &header);

}  // namespace qcow2
