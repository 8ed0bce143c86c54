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
#include <future>
#include <list>
#include <mutex>
#include <thread>

#include "common/nbd/handshake.hpp"
#include "common/util/fd.hpp"
#include "common/util/priority.hpp"

namespace nbd {

namespace {

using Clock = std::chrono::steady_clock;

// A request from its submission to its completion.
struct Command {
  std::function<int64_t(nbd_handle *, Command &)> issue;  // calls nbd_aio_...; negative: refused
  Completion done;
  ExtentSink sink;
  Clock::time_point deadline;
  bool answered = false;
  int errnum = 0;
};

nbd_completion_callback answer_to(Command &command) {
  return {.callback =
              [](void *data, int *error) {
                auto *c = static_cast<Command *>(data);
                c->answered = true;
                c->errnum = *error;
                return 1;  // libnbd may forget it
              },
          .user_data = &command,
          .free = nullptr};
}

// base:allocation as pairs of {length, flags}.
nbd_extent_callback extents_to(Command &command) {
  return {
      .callback =
          [](void *data, const char *context, uint64_t offset, uint32_t *entries, size_t n, int *) {
            if (std::string_view(context) != LIBNBD_CONTEXT_BASE_ALLOCATION) return 0;
            auto *c = static_cast<Command *>(data);
            for (size_t i = 0; i + 1 < n; i += 2) {
              c->sink({offset, entries[i], entries[i + 1] & (extents::hole | extents::zero)});
              offset += entries[i];
            }
            return 0;
          },
      .user_data = &command,
      .free = nullptr};
}

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

  void submit(std::function<int64_t(nbd_handle *, Command &)> issue, Completion done,
              ExtentSink sink = {}) {
    auto command = std::make_unique<Command>();
    command->issue = std::move(issue);
    command->done = std::move(done);
    command->sink = std::move(sink);
    command->deadline = Clock::now() + request_timeout_;
    ++in_flight_;
    bool first = false;
    {
      std::lock_guard guard(lock_);
      if (!dead_) {
        first = submitted_.empty();
        submitted_.push_back(std::move(command));
      }
    }
    if (command) {
      complete(*command, ENOTCONN);
    } else if (first) {
      kick();
    }
  }

  const Info &info() const { return info_; }
  const std::string &name() const { return name_; }
  bool dead() const { return dead_; }
  size_t in_flight() const { return in_flight_; }

 private:
  using Commands = std::list<std::unique_ptr<Command>>;

  void kick() {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t n = ::write(wake_.get(), &one, sizeof one);  // full still wakes
  }

  void complete(Command &command, int errnum) {
    --in_flight_;
    command.done(errnum);
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
    std::deque<std::unique_ptr<Command>> batch;
    {
      std::lock_guard guard(lock_);
      batch.swap(submitted_);
    }
    for (auto &command : batch) {
      issued_.push_back(std::move(command));
      Command &c = *issued_.back();
      if (c.issue(handle_.get(), c) < 0 && !c.answered) {
        c.answered = true;
        c.errnum = at_end() ? ENOTCONN : nbd_get_errno() != 0 ? nbd_get_errno() : EIO;
      }
    }
  }

  void complete_answered() {
    Commands answered;
    for (auto it = issued_.begin(); it != issued_.end();) {
      auto here = it++;
      if ((*here)->answered) answered.splice(answered.end(), issued_, here);
    }
    for (auto &command : answered) complete(*command, command->errnum);
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
        std::chrono::ceil<std::chrono::milliseconds>(issued_.front()->deadline - Clock::now());
    return static_cast<int>(std::max<int64_t>(left.count(), 0));
  }

  // The handle goes first: after that no buffer of a request is touched any more.
  void give_up(int errnum) {
    {
      std::lock_guard guard(lock_);
      dead_ = true;
      for (auto &command : submitted_) issued_.push_back(std::move(command));
      submitted_.clear();
    }
    handle_.reset();
    Commands left = std::move(issued_);
    for (auto &command : left) complete(*command, errnum);
  }

  std::string name_;
  std::chrono::milliseconds request_timeout_;
  util::Fd wake_;
  Handle handle_;  // the loop's alone once it runs
  Info info_;

  std::mutex lock_;  // protects submitted_, and dead_ from being set during a submission
  std::deque<std::unique_ptr<Command>> submitted_;
  std::atomic<bool> dead_ = false;

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

void Connection::pread(std::span<std::byte> buffer, uint64_t offset, Completion done) {
  impl_->submit(
      [=](nbd_handle *h, Command &c) {
        return nbd_aio_pread(h, buffer.data(), buffer.size(), offset, answer_to(c), 0);
      },
      std::move(done));
}

void Connection::pwrite(std::span<const std::byte> buffer, uint64_t offset, uint32_t flags,
                        Completion done) {
  impl_->submit(
      [=](nbd_handle *h, Command &c) {
        return nbd_aio_pwrite(h, buffer.data(), buffer.size(), offset, answer_to(c),
                              to_libnbd(flags));
      },
      std::move(done));
}

void Connection::zero(uint64_t count, uint64_t offset, uint32_t flags, Completion done) {
  impl_->submit(
      [=](nbd_handle *h, Command &c) {
        return nbd_aio_zero(h, count, offset, answer_to(c), to_libnbd(flags));
      },
      std::move(done));
}

void Connection::trim(uint64_t count, uint64_t offset, uint32_t flags, Completion done) {
  impl_->submit(
      [=](nbd_handle *h, Command &c) {
        return nbd_aio_trim(h, count, offset, answer_to(c), to_libnbd(flags));
      },
      std::move(done));
}

void Connection::flush(Completion done) {
  impl_->submit([](nbd_handle *h, Command &c) { return nbd_aio_flush(h, answer_to(c), 0); },
                std::move(done));
}

void Connection::block_status(uint64_t count, uint64_t offset, ExtentSink sink, Completion done) {
  impl_->submit(
      [=](nbd_handle *h, Command &c) {
        return nbd_aio_block_status(h, count, offset, extents_to(c), answer_to(c), 0);
      },
      std::move(done), std::move(sink));
}

int wait_for(const std::function<void(Completion)> &submit) {
  // Shared: the completion may still be at work in the promise when the waiter has its answer.
  auto answer = std::make_shared<std::promise<int>>();
  auto future = answer->get_future();
  submit([answer](int errnum) { answer->set_value(errnum); });
  return future.get();
}

}  // namespace nbd
