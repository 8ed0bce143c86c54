// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/helper/serve.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>

#include "common/util/error.hpp"

namespace vsphere::vddk {

namespace {

Done failure(uint64_t id, VixError error, const char *call, const Library &library) {
  return {id, code_of(error), 0, std::string(call) + ": " + library.describe(error)};
}

// If the plugin has ended or hangs, the loop in serve() sees the end of the socket.
void answer(const Channel &channel, Done done) noexcept {
  try {
    channel.send(std::move(done));
  } catch (const std::exception &) {
    channel.shut();
  }
}

class Server {
 public:
  Server(Channel &channel, const Library &library, const Access &access, const SharedMemory &memory)
      : channel_(channel), library_(library), access_(access), memory_(memory) {}

  // The reads under way use this object.
  ~Server() { library_.Wait(access_.handle()); }
  Server(const Server &) = delete;
  Server &operator=(const Server &) = delete;

  void read(const Read &request) {
    answered_.load(std::memory_order_acquire);
    std::span<std::byte> memory = slot(request.slot);
    check_range(request.sector, request.count);
    if (request.count == 0 || request.count > slot_size / sector_size) {
      util::fail(EPROTO, "the plugin asks for {} sectors in one request", request.count);
    }
    auto pending = std::make_unique<Pending>(Pending{this, request.id});
    VixError error =
        library_.ReadAsync(access_.handle(), request.sector, request.count,
                           reinterpret_cast<uint8_t *>(memory.data()), &on_read, pending.get());
    if (error == vix_async) {
      pending.release();  // on_read owns it, or has deleted it already
    } else {
      answer(channel_, failure(request.id, error != vix_ok ? error : vix_fail,
                               "VixDiskLib_ReadAsync", library_));
    }
  }

  void query(const Query &request) {
    std::span<std::byte> memory = slot(request.slot);
    check_range(request.sector, request.count);
    if (library_.QueryAllocatedBlocks == nullptr)
      util::fail(EPROTO, "this library has no QueryAllocatedBlocks");
    BlockList *list = nullptr;
    VixError error = library_.QueryAllocatedBlocks(access_.handle(), request.sector, request.count,
                                                   request.chunk, &list);
    if (error != vix_ok) {
      answer(channel_, failure(request.id, error, "VixDiskLib_QueryAllocatedBlocks", library_));
      return;
    }
    const uint32_t count = list->count;
    const bool fits = count <= memory.size() / sizeof(Block);
    if (fits && count > 0) std::memcpy(memory.data(), list->blocks, count * sizeof(Block));
    library_.FreeBlockList(list);
    if (fits) {
      answer(channel_, {request.id, vix_ok, count, ""});
    } else {
      answer(channel_, {request.id, vix_fail, 0,
                        "VixDiskLib_QueryAllocatedBlocks: more blocks than fit a slot"});
    }
  }

 private:
  struct Pending {
    Server *server;
    uint64_t id;
  };

  // Called by a thread of VDDK, or from within ReadAsync.
  static void on_read(void *data, VixError error) {
    std::unique_ptr<Pending> pending(static_cast<Pending *>(data));
    Server &server = *pending->server;
    Done done{pending->id, vix_ok, 0, ""};
    if (error != vix_ok) {
      done = failure(pending->id, error, "VixDiskLib_ReadAsync", server.library_);
    }
    server.answered_.fetch_add(1, std::memory_order_release);
    answer(server.channel_, std::move(done));
  }

  std::span<std::byte> slot(uint32_t number) const {
    if (number >= memory_.slots()) util::fail(EPROTO, "there is no slot {}", number);
    return memory_.slot(number);
  }
  void check_range(uint64_t sector, uint64_t count) const {
    if (sector > access_.sectors() || count > access_.sectors() - sector) {
      util::fail(EPROTO, "{} sectors at {} are not within the disk", count, sector);
    }
  }

  Channel &channel_;
  const Library &library_;
  const Access &access_;
  const SharedMemory &memory_;
  // Orders a request after the answers before it. The order of the uses of a slot follows from the
  // plugin, which reuses a slot only after its answer; C++ and ThreadSanitizer do not see that.
  std::atomic<uint64_t> answered_ = 0;
};

}  // namespace

void serve(Channel &channel, const Library &library, const Access &access,
           const SharedMemory &memory) {
  Server server(channel, library, access, memory);
  for (;;) {
    std::optional<Message> message = channel.receive(std::nullopt);
    if (!message || std::holds_alternative<Stop>(*message)) return;
    if (const auto *read = std::get_if<Read>(&*message)) {
      server.read(*read);
    } else if (const auto *query = std::get_if<Query>(&*message)) {
      server.query(*query);
    } else {
      util::fail(EPROTO, "the plugin sends a message that only the VDDK helper may send");
    }
  }
}

}  // namespace vsphere::vddk
