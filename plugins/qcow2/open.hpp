// SPDX-License-Identifier: BSD-3-Clause
//
// Opens an image as the settings ask for it: an existing one, which is checked first, or a new one.
#pragma once

#include <memory>

#include "common/util/log.hpp"
#include "plugins/qcow2/image.hpp"
#include "plugins/qcow2/settings.hpp"

namespace qcow2 {

// The settings must not contradict an image that exists. Throws util::Error; the text names the
// parameter.
std::unique_ptr<Image> open_image(const Settings &settings, const util::Log &log);

// The same for an image that is only read: nothing in it is changed or repaired.
std::unique_ptr<Layer> open_read_only(const Settings &settings);

}  // namespace qcow2
