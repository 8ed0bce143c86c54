// SPDX-License-Identifier: BSD-3-Clause
//
// seal= and state=: which of the names FILE and FILE.partial an image is opened or created under, and
// whether it is complete when it is closed.
#pragma once

#include <memory>
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

// Whether an image that has been closed cleanly is complete, with seal= or state=.
struct Verdict {
  std::string why_not;     // empty: it is
  std::string checkpoint;  // of the source; empty if that is not known
};

// With a state file that is for it to say: it must exist, owe nothing, and not be of another image. Throws
// nothing of the state file: one that cannot be read is a reason.
Verdict verdict_of(const Settings &settings, const Image &image);

// When nbdkit ends: finalises the image and, with seal= or state=, marks it as complete and gives it its
// final name, if it is complete. Throws util::Error, such as ESTALE if the file does not have its name any
// more.
void close_image(const Settings &settings, Image &image, const util::Log &log);

}  // namespace qcow2
