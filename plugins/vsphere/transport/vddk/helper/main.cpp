// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-vsphere-vddk: the process that loads VMware's library for nbdkit-vsphere-plugin. VDDK
// brings libraries that collide with those of nbdkit, and its crashes must not end nbdkit. Only the
// plugin starts this program, with a socket as file descriptor 3. When the socket ends, for
// whatever reason, the helper closes the disk, ends the access, and exits.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/helper/access.hpp"
#include "plugins/vsphere/transport/vddk/helper/library.hpp"
#include "plugins/vsphere/transport/vddk/helper/serve.hpp"
#include "plugins/vsphere/transport/vddk/helper/vddk_log.hpp"
#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"
#include "plugins/vsphere/transport/vddk/ipc/shared_memory.hpp"

namespace vsphere::vddk {

namespace {

// The plugin kills a helper that hangs. If nbdkit has gone, only SIGALRM does.
constexpr unsigned open_deadline = 300;  // seconds
constexpr unsigned close_deadline = 60;  // seconds

// InitEx and Exit, which VDDK allows once in a process.
class Initialised {
 public:
  Initialised(const Library &library, const Start &start) : library_(library) {
    constexpr uint32_t major = 6, minor = 5;  // the oldest version with all functions that are used
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

struct AlarmAtExit {
  ~AlarmAtExit() { ::alarm(close_deadline); }
};

void run(Channel &channel, const Start &start, util::Fd memory_fd) {
  if (start.slots == 0 || start.slots > max_slots) {
    util::fail(EPROTO, "the plugin asks for {} slots of shared memory", start.slots);
  }
  set_log(channel, start.password);
  const SharedMemory memory(std::move(memory_fd), start.slots);
  ::alarm(open_deadline);
  const Library library(start.library);
  const Initialised initialised(library, start);
  const Access access(library, start);
  ::alarm(0);
  const AlarmAtExit alarm_at_exit;
  channel.send(Started{access.sectors(), access.mode(), library.QueryAllocatedBlocks != nullptr});
  serve(channel, library, access, memory);
}

int main() {
  // Signals from a terminal are for nbdkit, which then ends this process.
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
      run(channel, *start, std::move(memory));
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
    std::fprintf(stderr, "nbdkit-vsphere-vddk is started only by nbdkit-vsphere-plugin(1).\n");
    return EXIT_FAILURE;
  }
  return vsphere::vddk::main();
}
