// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/completeness_mark.hpp"

#include <ctime>

#include "common/durability/sync_point.hpp"

namespace qcow2 {

namespace {

Identity incomplete(Identity identity) {
  identity.state = Completeness::incomplete;
  identity.checkpoint.clear();
  identity.cut = false;
  identity.completed = 0;
  return identity;
}

}  // namespace

CompletenessMark::CompletenessMark(const ImageFile &file, const Header &header, ImageName *name,
                                   bool tracked)
    : file_(file),
      name_(name),
      tracked_(tracked),
      at_(header.identity_at),
      length_(header.identity_length),
      identity_(header.identity) {}

void CompletenessMark::before_change() {
  if (name_ != nullptr) name_->make_partial();
  auto now = identity();
  if (!now || now->state == Completeness::incomplete) return;
  if (now->state == Completeness::untold && !tracked_) return;
  write(incomplete(*now));
}

// What it says is complete before it says so.
void CompletenessMark::set_complete(const std::string &checkpoint) {
  auto now = identity();
  if (!now) return;
  Identity wanted = *now;
  wanted.state = Completeness::complete;
  wanted.checkpoint = checkpoint;
  wanted = *decode_identity(encode(wanted, length_));  // cut to the room
  if (wanted == *now) return;
  wanted.completed = static_cast<uint64_t>(std::time(nullptr));
  Identity prepared = wanted;
  prepared.state = Completeness::incomplete;
  write(prepared);
  file_.sync();
  REPLICATE_SYNC_POINT("qcow2.before_complete");
  write(wanted);
  file_.sync();
}

std::optional<Identity> CompletenessMark::identity() const {
  util::MutexLock lock(mutex_);
  return identity_;
}

void CompletenessMark::write(const Identity &identity) {
  file_.write(encode(identity, length_), at_);
  util::MutexLock lock(mutex_);
  identity_ = identity;
}

}  // namespace qcow2
