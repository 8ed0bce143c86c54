// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbd/connection.hpp"

#include <libnbd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "common/nbd/handshake.hpp"
#include "common/nbd/issued_commands.hpp"
#include "common/util/fd.hpp"
#include "common/util/mutex.hpp"
#include "common/util/priority.hpp"

namespace nbd {

class Connection::Impl {
 public:
  explicit Impl(const Options &options)
      : name_(options.name.empty() ? options.uri : options.name),
        request_timeout_(options.request_timeout),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        handle_(connect(options, name_)),
        info_(read_info(handle_.get(), options)),
        thread_([this, background = options.background](const std::stop_token &stop) {
          if (background) util::give_way();
          loop(stop);
        }) {}

  ~Impl() { stop(); }

  void stop() {
    thread_.request_stop();
    kick();
  }

  void submit(Command &command) {
    command.deadline_ = std::chrono::steady_clock::now() + request_timeout_;
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
      if (failure != 0) mark_dead();
      complete_answered();
      // Whether or not other requests are answered meanwhile.
      if (failure == 0 && issued_.milliseconds_to_deadline() == 0) failure = ETIMEDOUT;
    }
    if (failure == 0 && issued_.empty()) nbd_aio_disconnect(handle_.get(), 0);  // a polite end
    give_up(failure != 0 ? failure : ENOTCONN);
  }

  void mark_dead() ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    dead_ = true;
  }

  void issue_submitted() {
    Commands commands;
    {
      util::MutexLock lock(mutex_);
      commands.swap(submitted_);
    }
    for (Command *command : commands) issued_.issue(handle_.get(), *command);
  }

  // A command that completes may be destroyed, and may submit others.
  // Who learns of a lost connection by its request finds it dead.
  void complete_answered() {
    if (has_ended(handle_.get())) mark_dead();
    for (auto [command, errnum] : issued_.take_answered()) complete(*command, errnum);
  }

  // Waits for the server, a submission or the first deadline; 0, or why the connection is at an end.
  int wait() {
    nbd_handle *h = handle_.get();
    if (has_ended(h)) return ENOTCONN;
    unsigned direction = nbd_aio_get_direction(h);
    short events = 0;
    if ((direction & LIBNBD_AIO_DIRECTION_READ) != 0) events |= POLLIN;
    if ((direction & LIBNBD_AIO_DIRECTION_WRITE) != 0) events |= POLLOUT;
    pollfd fds[2] = {{nbd_aio_get_fd(h), events, 0}, {wake_.get(), POLLIN, 0}};
    int n = ::poll(fds, 2, issued_.milliseconds_to_deadline());
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

  // The handle goes first: after that no buffer of a request is touched any more.
  void give_up(int errnum) {
    Commands never_issued;
    {
      util::MutexLock lock(mutex_);
      dead_ = true;
      never_issued.swap(submitted_);
    }
    handle_.reset();
    for (Command *c : issued_.take_all()) complete(*c, errnum);
    for (Command *c : never_issued) complete(*c, errnum);
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
  IssuedCommands issued_;  // the loop's alone
  std::jthread thread_;    // last: it uses all of the above, and joins first
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

void Connection::give_up() {
  impl_->stop();
}

void Connection::submit(Command &command) {
  impl_->submit(command);
}

}  // namespace nbd
