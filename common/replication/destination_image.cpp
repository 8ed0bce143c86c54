// SPDX-License-Identifier: BSD-3-Clause
#include "common/replication/destination_image.hpp"

#include <cerrno>

#include "common/replication/image_identity.hpp"
#include "common/util/error.hpp"

namespace replication {

std::string DestinationImage::accept(const std::string &description) {
  auto image = parse_image_identity(description);
  std::string uuid = image ? image->uuid : "";
  if (image && image->sealed_by_flush) {
    util::fail(EINVAL,
               "the image of the destination would get its final name with any flush, complete or "
               "not: give the "
               "qcow2 plugin seal=@{} instead of seal=on",
               rules_.state_path);
  }
  if (rules_.whole_disk || rules_.expected.empty()) return uuid;
  if (image && image->is_or_lies_over(rules_.expected)) return uuid;
  std::string found = image ? "is the image " + uuid + ", which does not lie over it"
                            : std::string("does not say which image it is");
  std::string what =
      fmt::format("{}-state={}: that state is of the image {}, but the destination {}",
                  rules_.module, rules_.state_path, rules_.expected, found);
  if (!rules_.any) {
    util::fail(EINVAL,
               "{}: nothing was changed; give the image that the last run wrote, or a new one over "
               "it, or remove the state to start with a full copy ({}-image=any accepts this "
               "one: the copy is wrong unless it holds what the state says)",
               what, rules_.module);
  }
  util::MutexLock lock(mutex_);
  if (!warned_) log_.warning("{}; it is accepted because of {}-image=any", what, rules_.module);
  warned_ = true;
  return uuid;
}

std::string DestinationImage::contradiction(const std::string &description) const {
  auto image = parse_image_identity(description);
  if (!image || image->uuid != rules_.expected || rules_.whole_disk || rules_.any) return {};
  if (!image->complete.value_or(false) || image->checkpoint.empty()) return {};
  bool known = false;
  for (const std::string &checkpoint : rules_.checkpoints) {
    if (checkpoint.empty()) continue;
    if (image->is_of(checkpoint)) return {};
    known = true;
  }
  if (!known) return {};
  return fmt::format(
      "the destination says that it is complete as of \"{}\", which is not what {}-state={} "
      "says: it is an "
      "earlier or a later copy of that image",
      image->checkpoint, rules_.module, rules_.state_path);
}

}  // namespace replication
