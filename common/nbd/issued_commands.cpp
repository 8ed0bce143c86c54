// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbd/issued_commands.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <utility>

#include "common/nbd/long_status.hpp"

namespace nbd {

// What libnbd's callbacks may do to a command.
struct CommandAccess {
  static void answer(Command &command, int errnum) {
    command.answered_ = true;
    command.errnum_ = errnum;
  }
  static bool is_answered(const Command &command) { return command.answered_; }
  static int errnum(const Command &command) { return command.errnum_; }
  static auto deadline(const Command &command) { return command.deadline_; }
  static void add_extent(Command &command, const extents::Extent &extent) {
    command.add_extent(extent);
  }
};

namespace {

uint32_t to_libnbd(uint32_t flags) {
  return ((flags & fua) != 0 ? LIBNBD_CMD_FLAG_FUA : 0) |
         ((flags & no_hole) != 0 ? LIBNBD_CMD_FLAG_NO_HOLE : 0);
}

nbd_completion_callback completion_of(Command &command) {
  return {.callback =
              [](void *data, int *error) {
                CommandAccess::answer(*static_cast<Command *>(data), *error);
                return 1;  // libnbd may forget it
              },
          .user_data = &command,
          .free = nullptr};
}

// A connection asks for one context at most (Options::context).
StatusCallback extents_of(Command &command) {
  return {.callback =
              [](void *data, const char *context, uint64_t offset, StatusEntry *entries, size_t n,
                 int *) {
                const bool allocation = std::string_view(context) == LIBNBD_CONTEXT_BASE_ALLOCATION;
                const uint32_t known = allocation ? extents::hole | extents::zero : ~0u;
                for_each_entry(entries, n, [&](uint64_t length, uint32_t flags) {
                  // Whatever a server says, no disk ends beyond 2^63.
                  length = std::min(length, uint64_t{INT64_MAX} - offset);
                  CommandAccess::add_extent(*static_cast<Command *>(data),
                                            {offset, length, flags & known});
                  offset += length;
                });
                return 0;
              },
          .user_data = &command,
          .free = nullptr};
}

// Negative if libnbd refuses it.
int64_t give_to_libnbd(nbd_handle *h, Command &c) {
  nbd_completion_callback done = completion_of(c);
  switch (c.operation) {
    case Operation::read:
      return nbd_aio_pread(h, c.into, c.count, c.offset, done, 0);
    case Operation::write:
      return nbd_aio_pwrite(h, c.data, c.count, c.offset, done, to_libnbd(c.flags));
    case Operation::zero:
      return nbd_aio_zero(h, c.count, c.offset, done, to_libnbd(c.flags));
    case Operation::trim:
      return nbd_aio_trim(h, c.count, c.offset, done, to_libnbd(c.flags));
    case Operation::flush:
      return nbd_aio_flush(h, done, 0);
    case Operation::block_status:
      return aio_block_status(h, c.count, c.offset, extents_of(c), done);
  }
  return -1;
}

}  // namespace

bool has_ended(nbd_handle *h) {
  return nbd_aio_is_dead(h) == 1 || nbd_aio_is_closed(h) == 1;
}

void IssuedCommands::issue(nbd_handle *h, Command &command) {
  commands_.push_back(&command);
  if (give_to_libnbd(h, command) >= 0 || CommandAccess::is_answered(command)) return;
  int errnum = nbd_get_errno() != 0 ? nbd_get_errno() : EIO;
  CommandAccess::answer(command, has_ended(h) ? ENOTCONN : errnum);
}

std::deque<IssuedCommands::Answer> IssuedCommands::take_answered() {
  std::deque<Answer> answered;
  std::erase_if(commands_, [&](Command *c) {
    if (!CommandAccess::is_answered(*c)) return false;
    answered.push_back({c, CommandAccess::errnum(*c)});
    return true;
  });
  return answered;
}

Commands IssuedCommands::take_all() {
  return std::exchange(commands_, {});
}

int IssuedCommands::milliseconds_to_deadline() const {
  if (commands_.empty()) return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(
      CommandAccess::deadline(*commands_.front()) - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<int64_t>(left.count(), 0));
}

}  // namespace nbd
