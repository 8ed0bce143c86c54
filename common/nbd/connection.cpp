// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbd/connection.hpp"

#include <libnbd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <string_view>
#include <thread>

#include "common/nbd/handshake.hpp"
#include "common/util/fd.hpp"
#include "common/util/mutex.hpp"
#include "common/util/priority.hpp"

namespace nbd {

namespace {

using Clock = std::chrono::steady_clock;

uint32_t to_libnbd(uint32_t flags) {
  return ((flags & fua) != 0 ? LIBNBD_CMD_FLAG_FUA : 0) |
         ((flags & no_hole) != 0 ? LIBNBD_CMD_FLAG_NO_HOLE : 0);
}

}  // namespace

class Connection::Impl {
 public:
  explicit Impl(const Options &options)
      : name_(options.name.empty() ? options.uri : options.name),
        request_timeout_(options.request_timeout),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        handle_(connect(options, name_)),
        info_(read_info(handle_.get())),
        thread_([this, background = options.background](const std::stop_token &stop) {
          if (background) util::give_way();
          loop(stop);
        }) {}

  ~Impl() {
    thread_.request_stop();
    kick();
  }

  void submit(Command &command) {
    command.deadline_ = Clock::now() + request_timeout_;
    command.answered_ = false;
    command.errnum_ = 0;
    ++in_flight_;
    bool first = false, accepted = false;
    {
      util::MutexLock lock(mutex_);
      if (!dead_) {
        accepted = true;
        first = submitted_.empty();
        submitted_.push_back(&command);
      }
    }
    if (!accepted) {
      complete(command, ENOTCONN);
    } else if (first) {
      kick();
    }
  }

  const Info &info() const { return info_; }
  const std::string &name() const { return name_; }
  bool dead() const { return dead_; }
  size_t in_flight() const { return in_flight_; }

 private:
  using Commands = std::deque<Command *>;

  void kick() {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t n = ::write(wake_.get(), &one, sizeof one);  // full still wakes
  }

  void complete(Command &command, int errnum) {
    --in_flight_;
    command.completed(errnum);
  }

  void loop(const std::stop_token &stop) {
    int failure = 0;
    while (failure == 0 && !stop.stop_requested()) {
      issue_submitted();
      complete_answered();
      failure = wait();
      complete_answered();
      // Whether or not other requests are answered meanwhile.
      if (failure == 0 && milliseconds_to_deadline() == 0) failure = ETIMEDOUT;
    }
    if (failure == 0 && issued_.empty()) nbd_aio_disconnect(handle_.get(), 0);  // a polite end
    give_up(failure != 0 ? failure : ENOTCONN);
  }

  void issue_submitted() {
    Commands commands;
    {
      util::MutexLock lock(mutex_);
      commands.swap(submitted_);
    }
    for (Command *command : commands) {
      issued_.push_back(command);
      if (issue(*command) < 0 && !command->answered_) {
        command->answered_ = true;
        command->errnum_ = at_end() ? ENOTCONN : nbd_get_errno() != 0 ? nbd_get_errno() : EIO;
      }
    }
  }

  // Negative if libnbd refuses it.
  int64_t issue(Command &c) {
    nbd_handle *h = handle_.get();
    nbd_completion_callback done = answer_to(c);
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
        return nbd_aio_block_status(h, c.count, c.offset, extents_to(c), done, 0);
    }
    return -1;
  }

  static nbd_completion_callback answer_to(Command &command) {
    return {.callback =
                [](void *data, int *error) {
                  auto *c = static_cast<Command *>(data);
                  c->answered_ = true;
                  c->errnum_ = *error;
                  return 1;  // libnbd may forget it
                },
            .user_data = &command,
            .free = nullptr};
  }

  // base:allocation as pairs of {length, flags}.
  static nbd_extent_callback extents_to(Command &command) {
    return {.callback =
                [](void *data, const char *context, uint64_t offset, uint32_t *entries, size_t n,
                   int *) {
                  if (std::string_view(context) != LIBNBD_CONTEXT_BASE_ALLOCATION) return 0;
                  auto *c = static_cast<Command *>(data);
                  for (size_t i = 0; i + 1 < n; i += 2) {
                    c->add_extent(
                        {offset, entries[i], entries[i + 1] & (extents::hole | extents::zero)});
                    offset += entries[i];
                  }
                  return 0;
                },
            .user_data = &command,
            .free = nullptr};
  }

  // In the order of their submission. What completes may be destroyed, and may submit again.
  void complete_answered() {
    Commands answered;
    std::erase_if(issued_, [&](Command *c) {
      if (c->answered_) answered.push_back(c);
      return c->answered_;
    });
    for (Command *c : answered) complete(*c, c->errnum_);
  }

  // libnbd answers EINVAL to whatever is asked of a handle that has lost its server.
  bool at_end() const {
    return nbd_aio_is_dead(handle_.get()) == 1 || nbd_aio_is_closed(handle_.get()) == 1;
  }

  // Waits for the server, a submission or the first deadline; 0, or why the connection is at an end.
  int wait() {
    nbd_handle *h = handle_.get();
    if (at_end()) return ENOTCONN;
    unsigned direction = nbd_aio_get_direction(h);
    short events = 0;
    if ((direction & LIBNBD_AIO_DIRECTION_READ) != 0) events |= POLLIN;
    if ((direction & LIBNBD_AIO_DIRECTION_WRITE) != 0) events |= POLLOUT;
    pollfd fds[2] = {{nbd_aio_get_fd(h), events, 0}, {wake_.get(), POLLIN, 0}};
    int n = ::poll(fds, 2, milliseconds_to_deadline());
    if (n < 0) return errno == EINTR ? 0 : errno;

    if ((fds[1].revents & POLLIN) != 0) {
      uint64_t count;
      [[maybe_unused]] ssize_t r = ::read(wake_.get(), &count, sizeof count);
    }
    if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      if (nbd_aio_notify_read(h) < 0) return ENOTCONN;
    } else if ((fds[0].revents & POLLOUT) != 0) {
      if (nbd_aio_notify_write(h) < 0) return ENOTCONN;
    }
    return 0;
  }

  // Requests are issued in the order of their deadlines. -1: nothing is awaited.
  int milliseconds_to_deadline() const {
    if (issued_.empty()) return -1;
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(issued_.front()->deadline_ - Clock::now());
    return static_cast<int>(std::max<int64_t>(left.count(), 0));
  }

  // The handle goes first: after that no buffer of a request is touched any more.
  void give_up(int errnum) {
    {
      util::MutexLock lock(mutex_);
      dead_ = true;
      issued_.insert(issued_.end(), submitted_.begin(), submitted_.end());
      submitted_.clear();
    }
    handle_.reset();
    Commands left;
    left.swap(issued_);
    for (Command *c : left) complete(*c, errnum);
  }

  std::string name_;
  std::chrono::milliseconds request_timeout_;
  util::Fd wake_;
  Handle handle_;  // the loop's alone once it runs
  Info info_;

  util::Mutex mutex_;
  Commands submitted_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> dead_ = false;  // set under mutex_, so that it is not set during a submission

  std::atomic<size_t> in_flight_ = 0;
  Commands issued_;      // the loop's alone
  std::jthread thread_;  // last: it uses all of the above, and joins first
};

Connection::Connection(const Options &options) : impl_(std::make_unique<Impl>(options)) {}
Connection::~Connection() = default;

const Info &Connection::info() const {
  return impl_->info();
}
const std::string &Connection::name() const {
  return impl_->name();
}
bool Connection::dead() const {
  return impl_->dead();
}
size_t Connection::in_flight() const {
  return impl_->in_flight();
}

void Connection::submit(Command &command) {
  impl_->submit(command);
}

}  // namespace nbd
