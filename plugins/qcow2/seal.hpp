// SPDX-License-Identifier: BSD-3-Clause
//
// seal=: which of the names FILE and FILE.partial an image is opened or created under, and whether it
// is complete when it is closed.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "plugins/qcow2/file/image_name.hpp"
#include "plugins/qcow2/image.hpp"
#include "plugins/qcow2/settings.hpp"

namespace qcow2 {

struct Place {
  Settings settings;                // the path is that of the file
  bool is_new;                      // the image has to be created,
  bool replaces;                    // in place of a file of that path
  std::unique_ptr<ImageName> name;  // null without seal=
};

// Throws util::Error if create= and what there is do not go together.
Place place_of(const Settings &settings);

// Why an image that has been closed cleanly is not complete; nothing if it is. With seal=@STATE that is
// for the state file to say: it must exist, owe nothing, and not be of another image. Throws nothing of
// the state file: one that cannot be read is a reason.
std::optional<std::string> why_not_complete(const Settings &settings, const Image &image);

}  // namespace qcow2
