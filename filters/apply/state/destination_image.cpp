// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/state/destination_image.hpp"

#include <cerrno>

#include "common/replication/image_identity.hpp"
#include "common/util/error.hpp"

namespace apply {

std::string DestinationImage::accept(const std::string &description) {
  auto image = replication::parse_image_identity(description);
  std::string uuid = image ? image->uuid : "";
  if (rules_.whole_disk || rules_.expected.empty()) return uuid;
  if (image && image->is_or_lies_over(rules_.expected)) return uuid;
  std::string found = image ? "is the image " + uuid + ", which does not lie over it"
                            : std::string("does not say which image it is");
  std::string what =
      fmt::format("apply-state={}: that state is of the image {}, but the destination {}",
                  rules_.state_path, rules_.expected, found);
  if (!rules_.any) {
    util::fail(EINVAL,
               "{}: nothing was changed; give the image that the last run wrote, or a new one over "
               "it, or remove the state to start with a full copy (apply-image=any accepts this "
               "one: the copy is wrong unless it holds what the state says)",
               what);
  }
  util::MutexLock lock(mutex_);
  if (!warned_) log_.warning("{}; it is accepted because of apply-image=any", what);
  warned_ = true;
  return uuid;
}

}  // namespace apply
