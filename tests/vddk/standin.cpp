// SPDX-License-Identifier: BSD-3-Clause
//
// A stand-in for VMware's libvixDiskLib, which serves a raw file. It is stricter than the real
// library: a call that is not allowed ends the process, with a line "VIOLATION" in the log. Errors
// that VMware's library returns are returned. Its files are in the directory $VDDK_STANDIN:
//
//   disk       the raw file; disks/NAME.vmdk for a path that ends in NAME.vmdk. QueryAllocatedBlocks
//              leaves out its holes.
//   expect     key=value lines: the user, password, thumbprint, vm, snapshot and path that it accepts
//   log        (written) a line for each call except reads: "PID CALL ARGUMENTS"
//   access/    (written) an empty file for each identity between PrepareForAccess and EndAccess
//   faults/    CALL, a file "AFTER COUNT KIND ...": after AFTER calls the next COUNT fail; the numbers
//              are counted down. KIND: "error N", "crash", "hang", "leave" (exit with status 3)
//   cost       "MICROSECONDS MB/S DEPTH": the latency of a request, the data rate of all together, and
//              how many run at the same time. Without it: a random time of less than a millisecond.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "plugins/vsphere/transport/vddk/abi.hpp"

using namespace vsphere::vddk;

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t sector = 512;
constexpr uint64_t largest_request =
    (2 << 20) / sector;             // many ESXi hosts refuse more with an NFC error
constexpr VixError nfc_memory = 2;  // out of memory

std::string path_of(const std::string &name) {
  const char *directory = std::getenv("VDDK_STANDIN");
  return std::string(directory != nullptr ? directory : "/nonexistent") + "/" + name;
}

__attribute__((format(printf, 1, 2))) void note(const char *format, ...) {
  char line[4096];
  int length = std::snprintf(line, sizeof line, "%d ", getpid());
  va_list arguments;
  va_start(arguments, format);
  length += std::vsnprintf(line + length, sizeof line - length - 1, format, arguments);
  va_end(arguments);
  length = std::min<int>(length, sizeof line - 2);
  line[length++] = '\n';
  int fd = open(path_of("log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0 || write(fd, line, length) != length) std::abort();
  close(fd);
}

#define REQUIRE(condition, ...)       \
  do {                                \
    if (!(condition)) {               \
      note("VIOLATION " __VA_ARGS__); \
      std::abort();                   \
    }                                 \
  } while (0)

// The words after COUNT of the fault that is due for this call; empty if none is.
std::vector<std::string> fault(const std::string &call) {
  std::string path = path_of("faults/" + call);
  int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return {};
  flock(fd, LOCK_EX);
  char text[256] = {};
  std::vector<std::string> words;
  if (read(fd, text, sizeof text - 1) > 0) {
    std::istringstream in(text);
    long after = 0, count = 0;
    in >> after >> count;
    for (std::string word; in >> word;) words.push_back(word);
    bool due = after == 0 && count > 0;
    if (after > 0) {
      --after;
    } else if (count > 0) {
      --count;
    }
    std::string rest = std::to_string(after) + " " + std::to_string(count);
    for (const auto &word : words) rest += " " + word;
    // One write of the same length, as another thread may end the process at any time.
    rest.resize(std::max(rest.size(), std::strlen(text)), ' ');
    if (pwrite(fd, rest.data(), rest.size(), 0) < 0) std::abort();
    if (!due) words.clear();
  }
  close(fd);
  return words;
}

// Performs the fault that is due. Returns the error, or vix_ok if none is due.
VixError inject_fault(const std::string &call) {
  std::vector<std::string> words = fault(call);
  if (words.empty()) return vix_ok;
  note("fault %s %s", call.c_str(), words[0].c_str());
  if (words[0] == "crash") std::raise(SIGSEGV);
  if (words[0] == "leave") _exit(3);
  if (words[0] == "hang") {
    for (;;) pause();
  }
  return words.size() > 1 ? std::stoull(words[1]) : vix_fail;
}

std::map<std::string, std::string> expected() {
  std::map<std::string, std::string> all;
  std::ifstream in(path_of("expect"));
  for (std::string line; std::getline(in, line);) {
    auto equals = line.find('=');
    if (equals != std::string::npos) all[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return all;
}

bool accepted(const char *key, const char *value) {
  auto all = expected();
  auto it = all.find(key);
  return it == all.end() || (value != nullptr && it->second == value);
}

struct LibraryState {
  std::thread::id thread;  // the one that called InitEx
  LogFunction *log = nullptr, *warn = nullptr;
  bool initialised = false, exited = false;
  std::set<std::string> prepared;  // by this process
  std::atomic<int> connections = 0, handles = 0, texts = 0, infos = 0, lists = 0, params = 0;
} state;

void say(LogFunction *function, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  function(format, arguments);
  va_end(arguments);
}

void require_first_thread(const char *call) {
  REQUIRE(state.initialised && !state.exited, "%s before InitEx or after Exit", call);
  REQUIRE(std::this_thread::get_id() == state.thread, "%s on another thread than InitEx", call);
}

struct FakeConnection {
  std::string server, thumbprint;
};

// Requests are completed by threads of this object, in random order without `cost`.
class OpenDisk {
 public:
  explicit OpenDisk(const std::string &path) {
    fd_ = open(path_of("disks/" + path.substr(path.rfind('/') + 1)).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) fd_ = open(path_of("disk").c_str(), O_RDONLY | O_CLOEXEC);
    struct stat st = {};
    REQUIRE(fd_ >= 0 && fstat(fd_, &st) == 0, "the test has no disk");
    sectors = st.st_size / sector;
    std::ifstream in(path_of("cost"));
    slow_ = static_cast<bool>(in >> latency_ >> speed_ >> depth_);
    for (int i = 0; i < depth_; ++i) threads_.emplace_back([this] { work(); });
  }
  ~OpenDisk() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (auto &thread : threads_) thread.join();
    close(fd_);
  }

  struct Request {
    uint64_t start, count;
    uint8_t *buffer;
    ReadCallback *callback;
    void *data;
    VixError error;
  };

  void add(const Request &request) {
    std::unique_lock lock(mutex_);
    ++under_way_;
    if (!slow_ && random_() % 8 == 0) {  // the callback may come before ReadAsync returns
      lock.unlock();
      complete(request);
      return;
    }
    queue_.push_back(request);
    wake_.notify_one();
  }

  void wait() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [&] { return under_way_ == 0; });
  }
  int under_way() {
    std::lock_guard lock(mutex_);
    return under_way_;
  }

  int fd() const { return fd_; }
  uint64_t sectors = 0;

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stop_ || !queue_.empty(); });
      if (queue_.empty()) return;
      size_t which = slow_ ? 0 : random_() % queue_.size();
      Request request = queue_[which];
      queue_.erase(queue_.begin() + static_cast<long>(which));
      auto until = Clock::now() + std::chrono::microseconds(slow_ ? latency_ : random_() % 1000);
      if (slow_) {
        link_free_ = std::max(link_free_, Clock::now()) +
                     std::chrono::nanoseconds(request.count * sector * 1000 / speed_);
        until = std::max(until, link_free_);
      }
      lock.unlock();
      std::this_thread::sleep_until(until);
      complete(request);
      lock.lock();
    }
  }

  void complete(const Request &request) {
    VixError error = request.error;
    if (error == vix_ok) error = inject_fault("ReadAsync.callback");
    size_t length = request.count * sector;
    if (error == vix_ok && pread(fd_, request.buffer, length, request.start * sector) !=
                               static_cast<ssize_t>(length)) {
      error = vix_fail;
    }
    if (error != vix_ok) std::memset(request.buffer, 0xee, length);
    request.callback(request.data, error);
    std::lock_guard lock(mutex_);
    if (--under_way_ == 0) idle_.notify_all();
  }

  int fd_ = -1;
  bool slow_ = false;
  long latency_ = 0, speed_ = 1, depth_ = 3;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::vector<Request> queue_;
  std::mt19937 random_{std::random_device()()};
  Clock::time_point link_free_;
  int under_way_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

VixError check_access(const char *call, const ConnectParams *params, const char *identity) {
  require_first_thread(call);
  REQUIRE(params != nullptr && identity != nullptr && *identity != '\0', "%s without arguments",
          call);
  note("%s %s", call, identity);
  if (!accepted("password", params->credentials.password)) return vix_authentication;
  return inject_fault(call);
}

std::string access_file(const char *identity) {
  std::string name = identity;
  std::replace(name.begin(), name.end(), '/', '_');
  return path_of("access/" + name);
}

}  // namespace

EXPORT VixError VixDiskLib_InitEx(uint32_t major, uint32_t minor, LogFunction *log,
                                  LogFunction *warn, LogFunction *panic, const char *directory,
                                  const char *config) {
  REQUIRE(!state.initialised, "InitEx twice");
  REQUIRE(log != nullptr && warn != nullptr && panic != nullptr, "InitEx without log functions");
  REQUIRE(directory != nullptr && access(directory, R_OK) == 0, "InitEx without libDir");
  REQUIRE(config == nullptr || access(config, R_OK) == 0, "InitEx with a config that is not there");
  note("InitEx %u.%u libdir=%s config=%s LD_LIBRARY_PATH=%s", major, minor, directory,
       config != nullptr ? config : "none", std::getenv("LD_LIBRARY_PATH"));
  if (VixError error = inject_fault("InitEx")) return error;
  state.thread = std::this_thread::get_id();
  state.log = log;
  state.warn = warn;
  state.initialised = true;
  say(log, "VixDiskLib: this is the stand-in %d\n", 1);
  say(warn, "VDDK_PhoneHome: chatter\n");
  return vix_ok;
}

EXPORT void VixDiskLib_Exit() {
  require_first_thread("Exit");
  REQUIRE(state.connections == 0 && state.handles == 0, "Exit with something open");
  REQUIRE(state.texts == 0 && state.infos == 0 && state.lists == 0 && state.params == 0,
          "Exit with %d texts, %d infos, %d block lists, %d parameters not freed",
          state.texts.load(), state.infos.load(), state.lists.load(), state.params.load());
  REQUIRE(state.prepared.empty(), "Exit without EndAccess");
  state.exited = true;
  note("Exit");
}

EXPORT char *VixDiskLib_GetErrorText(VixError error, const char *) {
  ++state.texts;
  switch (error) {
    case vix_fail:
      return strdup("Unknown error");
    case vix_invalid_argument:
      return strdup("One of the parameters was invalid");
    case vix_file_not_found:
      return strdup("A file was not found");
    case vix_file_access:
      return strdup("You do not have access rights to this file");
    case vix_authentication:
      return strdup("Cannot authenticate the user or password");
    case nfc_memory:
      return strdup("Memory allocation failed. Out of memory");
    default:
      return strdup("The server refused connection");
  }
}

EXPORT void VixDiskLib_FreeErrorText(char *text) {
  REQUIRE(text != nullptr, "FreeErrorText of nothing");
  --state.texts;
  std::free(text);
}

EXPORT ConnectParams *VixDiskLib_AllocateConnectParams() {
  ++state.params;
  return static_cast<ConnectParams *>(std::calloc(1, sizeof(ConnectParams)));
}

EXPORT void VixDiskLib_FreeConnectParams(ConnectParams *params) {
  REQUIRE(params->server_name == nullptr && params->credentials.password == nullptr,
          "FreeConnectParams of texts that are not its own");
  --state.params;
  std::free(params);
}

EXPORT VixError VixDiskLib_PrepareForAccess(const ConnectParams *params, const char *identity) {
  if (VixError error = check_access("PrepareForAccess", params, identity)) return error;
  int fd = open(access_file(identity).c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  REQUIRE(fd >= 0, "PrepareForAccess twice for %s", identity);
  close(fd);
  state.prepared.insert(identity);
  return vix_ok;
}

EXPORT VixError VixDiskLib_EndAccess(const ConnectParams *params, const char *identity) {
  if (VixError error = check_access("EndAccess", params, identity)) return error;
  REQUIRE(state.connections == 0, "EndAccess before Disconnect");
  state.prepared.erase(identity);
  return unlink(access_file(identity).c_str()) == 0 ? vix_ok : vix_invalid_argument;
}

EXPORT VixError VixDiskLib_ConnectEx(const ConnectParams *params, char read_only,
                                     const char *snapshot, const char *transports,
                                     Connection *connection) {
  require_first_thread("ConnectEx");
  REQUIRE(params != nullptr && params->vmx_spec != nullptr && params->server_name != nullptr &&
              params->thumbprint != nullptr && params->credentials.user != nullptr &&
              params->credentials.password != nullptr,
          "ConnectEx with a null that crashes the real one");
  REQUIRE(params->credential_type == credentials_user && params->spec_type == spec_vmx,
          "ConnectEx with other kinds of credentials or machine");
  REQUIRE(read_only == 1, "ConnectEx for writing");
  note("ConnectEx server=%s port=%u vm=%s snapshot=%s transports=%s", params->server_name,
       params->port, params->vmx_spec, snapshot, transports);
  say(state.log, "connecting as %s with %s", params->credentials.user,
      params->credentials.password);
  if (VixError error = inject_fault("ConnectEx")) return error;
  if (!accepted("user", params->credentials.user) ||
      !accepted("password", params->credentials.password)) {
    return vix_authentication;
  }
  if (!accepted("vm", params->vmx_spec) || !accepted("snapshot", snapshot)) return vix_file_access;
  *connection = new FakeConnection{params->server_name, params->thumbprint};
  ++state.connections;
  return vix_ok;
}

EXPORT VixError VixDiskLib_Disconnect(Connection connection) {
  require_first_thread("Disconnect");
  REQUIRE(connection != nullptr && state.handles == 0, "Disconnect with a disk open");
  note("Disconnect");
  delete static_cast<FakeConnection *>(connection);
  --state.connections;
  return vix_ok;
}

EXPORT VixError VixDiskLib_Open(Connection connection, const char *path, uint32_t flags,
                                Handle *handle) {
  require_first_thread("Open");
  REQUIRE((flags & open_read_only) != 0, "Open for writing");
  const uint32_t compression = flags & (open_zlib | open_fastlz | open_skipz);
  REQUIRE((compression & (compression - 1)) == 0, "Open with several compressions");
  REQUIRE((flags & ~(open_read_only | compression)) == 0, "Open with flags %u", flags);
  note("Open %s flags=%u", path, flags);
  if (VixError error = inject_fault("Open")) return error;
  auto *c = static_cast<FakeConnection *>(connection);
  // As the real library, which checks the thumbprint here and returns no more than this.
  if (!accepted("thumbprint", c->thumbprint.c_str())) return vix_fail;
  if (!accepted("path", path)) return vix_file_not_found;
  *handle = new OpenDisk(path);
  ++state.handles;
  return vix_ok;
}

EXPORT VixError VixDiskLib_Close(Handle handle) {
  require_first_thread("Close");
  auto *h = static_cast<OpenDisk *>(handle);
  REQUIRE(h->under_way() == 0, "Close with %d reads under way", h->under_way());
  note("Close");
  delete h;
  --state.handles;
  return inject_fault("Close");
}

EXPORT const char *VixDiskLib_GetTransportMode(Handle) {
  return "nbdssl";
}

EXPORT VixError VixDiskLib_GetInfo(Handle handle, Info **info) {
  require_first_thread("GetInfo");
  *info = static_cast<Info *>(std::calloc(1, sizeof(Info)));
  (*info)->capacity = static_cast<OpenDisk *>(handle)->sectors;
  ++state.infos;
  return vix_ok;
}

EXPORT void VixDiskLib_FreeInfo(Info *info) {
  REQUIRE(info != nullptr, "FreeInfo of nothing");
  --state.infos;
  std::free(info);
}

EXPORT VixError VixDiskLib_ReadAsync(Handle handle, uint64_t start, uint64_t count, uint8_t *buffer,
                                     ReadCallback *callback, void *data) {
  require_first_thread("ReadAsync");
  auto *h = static_cast<OpenDisk *>(handle);
  REQUIRE(buffer != nullptr && callback != nullptr && count > 0, "ReadAsync without arguments");
  if (start > h->sectors || count > h->sectors - start) return vix_invalid_argument;
  if (count > largest_request) return nfc_memory;
  if (VixError error = inject_fault("ReadAsync")) return error;
  h->add({start, count, buffer, callback, data, vix_ok});
  return vix_async;
}

EXPORT VixError VixDiskLib_Wait(Handle handle) {
  require_first_thread("Wait");
  static_cast<OpenDisk *>(handle)->wait();
  return vix_ok;
}

EXPORT VixError VixDiskLib_QueryAllocatedBlocks(Handle handle, uint64_t start, uint64_t count,
                                                uint64_t chunk, BlockList **list) {
  require_first_thread("QueryAllocatedBlocks");
  auto *h = static_cast<OpenDisk *>(handle);
  note("QueryAllocatedBlocks %lu %lu %lu", start, count, chunk);
  if (VixError error = inject_fault("QueryAllocatedBlocks")) return error;
  if (chunk < min_chunk_size || chunk > max_chunk_size || (chunk & (chunk - 1)) != 0 ||
      start % chunk != 0 || count % chunk != 0 || count == 0 || count / chunk > max_chunk_number ||
      start > h->sectors || count > h->sectors - start) {
    return vix_invalid_argument;
  }
  std::vector<Block> found;
  for (uint64_t at = start; at < start + count; at += chunk) {
    off_t data = lseek(h->fd(), static_cast<off_t>(at * sector), SEEK_DATA);
    if (data < 0 || static_cast<uint64_t>(data) >= (at + chunk) * sector) continue;
    if (!found.empty() && found.back().offset + found.back().length == at) {
      found.back().length += chunk;
    } else {
      found.push_back({at, chunk});
    }
  }
  *list =
      static_cast<BlockList *>(std::calloc(1, sizeof(BlockList) + found.size() * sizeof(Block)));
  (*list)->count = static_cast<uint32_t>(found.size());
  std::copy(found.begin(), found.end(), (*list)->blocks);
  ++state.lists;
  return vix_ok;
}

EXPORT VixError VixDiskLib_FreeBlockList(BlockList *list) {
  --state.lists;
  std::free(list);
  return vix_ok;
}
