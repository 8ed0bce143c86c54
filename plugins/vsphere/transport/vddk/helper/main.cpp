// SPDX-License-Identifier: BSD-3-Clause
//
// The process that loads VMware's library on behalf of nbdkit-vsphere-plugin: its libraries collide
// with ours, and its crashes must not be ours. Started by the plugin alone, with a socket as file
// descriptor 3. When that ends, however the plugin went, it closes the disk, ends the access, and
// goes.
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"
#include "plugins/vsphere/transport/vddk/helper/access.hpp"
#include "plugins/vsphere/transport/vddk/helper/library.hpp"
#include "plugins/vsphere/transport/vddk/helper/serve.hpp"

namespace vsphere::vddk {

namespace {

// For what VDDK does while nobody but us may be left to end it; SIGALRM ends the process.
constexpr unsigned open_deadline = 300;  // seconds
constexpr unsigned close_deadline = 60;  // seconds

// VDDK's log functions take no argument of ours, hence the globals: where its lines go, and the
// password, which must not be among them. Set before InitEx.
const Channel *log_channel = nullptr;
const Secret *never_shown = nullptr;

void say(Log::Level level, std::string text) {
  const std::string &secret = never_shown->get();
  for (size_t at = 0; !secret.empty() && (at = text.find(secret, at)) != std::string::npos;) {
    text.replace(at, secret.size(), "********");
    at += 8;
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  log_channel->send_if_room(Log{level, std::move(text)});
}

__attribute__((format(printf, 2, 0))) void say(Log::Level level, const char *format,
                                               va_list arguments) {
  char line[2048];
  std::vsnprintf(line, sizeof line, format, arguments);
  // Of no interest to anyone but VMware.
  std::string_view text(line);
  bool chatter =
      text.find("Get CEIP status failed") != text.npos || text.find("VDDK_PhoneHome:") != text.npos;
  say(chatter ? Log::Level::debug : level, std::string(text));
}

void on_log(const char *format, va_list arguments) {
  say(Log::Level::debug, format, arguments);
}
void on_warning(const char *format, va_list arguments) {
  say(Log::Level::warning, format, arguments);
}

class Memory {
 public:
  Memory(const util::Fd &fd, size_t size) : size_(size) {
    struct stat st = {};
    if (!fd || ::fstat(fd.get(), &st) < 0 || static_cast<size_t>(st.st_size) != size) {
      util::fail(EPROTO, "the shared memory is missing or has another size");
    }
    data_ = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (data_ == MAP_FAILED) util::fail_os(errno, "cannot map {} bytes", size);
  }
  ~Memory() { ::munmap(data_, size_); }
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;
  std::span<std::byte> bytes() { return {static_cast<std::byte *>(data_), size_}; }

 private:
  void *data_;
  size_t size_;
};

// InitEx and Exit. Once a process.
class Initialised {
 public:
  Initialised(const Library &library, const Start &start) : library_(library) {
    constexpr uint32_t major = 6, minor = 5;  // the oldest that has what we use
    VixError error =
        library.InitEx(major, minor, on_log, on_warning, on_warning, start.directory.c_str(),
                       start.config.empty() ? nullptr : start.config.c_str());
    if (error != vix_ok) {
      throw Refused{{"VixDiskLib_InitEx", code_of(error), library.describe(error)}};
    }
  }
  ~Initialised() { library_.Exit(); }
  Initialised(const Initialised &) = delete;
  Initialised &operator=(const Initialised &) = delete;

 private:
  const Library &library_;
};

class LoadedLibrary : public Library {
 public:
  explicit LoadedLibrary(const std::string &path) try : Library(path) {
  } catch (const util::Error &e) {
    throw Refused{{"loading", 0, e.what()}};
  }
};

struct AlarmAtExit {
  ~AlarmAtExit() { ::alarm(close_deadline); }
};

void run(Channel &channel, const Start &start, const util::Fd &memory_fd) {
  if (start.slots == 0 || start.slots > max_slots) util::fail(EPROTO, "{} slots", start.slots);
  log_channel = &channel;
  never_shown = &start.password;
  Memory memory(memory_fd, start.slots * slot_size);
  ::alarm(open_deadline);
  const LoadedLibrary library(start.library);
  const Initialised initialised(library, start);
  const Access access(library, start, [](const std::string &text) { say(Log::Level::ours, text); });
  ::alarm(0);
  const AlarmAtExit alarm_at_exit;
  channel.send(Started{access.sectors(), access.mode(), library.QueryAllocatedBlocks != nullptr});
  serve(channel, library, access, memory.bytes());
}

int main() {
  // A terminal's signals are for nbdkit, which then ends us.
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(signal, SIG_IGN);
  ::close_range(helper_socket + 1, ~0U, 0);
  Channel channel{util::Fd(helper_socket)};
  try {
    util::Fd memory;
    std::optional<Message> first = channel.receive(std::nullopt, &memory);
    if (!first) return EXIT_SUCCESS;
    const Start *start = std::get_if<Start>(&*first);
    if (start == nullptr) util::fail(EPROTO, "the first message must be Start");
    try {
      run(channel, *start, memory);
    } catch (const Refused &refused) {
      channel.send(refused.failed);
      return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
  } catch (const std::exception &e) {
    std::fprintf(stderr, "nbdkit-vsphere-vddk: %s\n", e.what());
    return EXIT_FAILURE;
  }
}

}  // namespace

}  // namespace vsphere::vddk

int main(int argc, char **) {
  struct stat st = {};
  if (argc != 1 || ::fstat(vsphere::vddk::helper_socket, &st) < 0 || !S_ISSOCK(st.st_mode)) {
    std::fprintf(stderr,
                 "This program is started by nbdkit-vsphere-plugin(1), and not otherwise.\n");
    return EXIT_FAILURE;
  }
  return vsphere::vddk::main();
}
