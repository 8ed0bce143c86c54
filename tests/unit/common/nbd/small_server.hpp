// SPDX-License-Identifier: BSD-3-Clause
//
// A server that does the NBD handshake (fixed newstyle, NBD_OPT_GO) and then answers only the requests
// that the test decides it to answer. Each slot serves one client after another.
#pragma once

#include <endian.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "common/util/fd.hpp"

// NBD_CMD_READ 0, WRITE 1, DISC 2, FLUSH 3, BLOCK_STATUS 7.
struct SmallRequest {
  uint16_t type;
  uint64_t offset;
  uint32_t count;
  int slot;  // that serves the connection
};

class SmallServer {
 public:
  enum class Reply { ok, never, hang_up };
  using Decide = std::function<Reply(const SmallRequest &)>;

  // The answer to a block-status request: lengths and flags (NBD_STATE_HOLE 1, NBD_STATE_ZERO 2), perhaps of a part only.
  using Tell = std::function<std::vector<std::pair<uint32_t, uint32_t>>(const SmallRequest &)>;

  // The description of the export, as the N-th connection (from 0) gets it.
  using Describe = std::function<std::string(int)>;

  // tell: for base:allocation, which the server does not know without it. describe: without it there is no description.
  explicit SmallServer(Decide decide, int slots = 1, Tell tell = nullptr,
                       Describe describe = nullptr)
      : decide_(std::move(decide)),
        tell_(std::move(tell)),
        describe_(std::move(describe)),
        listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    char directory[] = "/tmp/replicate-nbd-XXXXXX";
    REQUIRE(::mkdtemp(directory) != nullptr);
    directory_ = directory;
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr *>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener_.get(), 16) == 0);
    for (int i = 0; i < slots; ++i) {
      threads_.emplace_back([this, i](const std::stop_token &stop) { serve(stop, i); });
    }
  }
  ~SmallServer() {
    for (auto &t : threads_) t.request_stop();
    ::shutdown(listener_.get(), SHUT_RDWR);  // ends accept()
    threads_.clear();
    ::unlink(path().c_str());
    ::rmdir(directory_.c_str());
  }

  std::string uri() const { return "nbd+unix:///?socket=" + path(); }
  int polite_ends() const { return polite_ends_; }

 private:
  static constexpr uint64_t size = 1u << 20;
  static constexpr uint32_t context_id = 1;
  static constexpr uint16_t has_flags = 1, can_flush = 4, multi_conn = 256;

  std::string path() const { return directory_ + "/s"; }

  void serve(const std::stop_token &stop, int slot) {
    while (!stop.stop_requested()) {
      util::Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client) return;
      if (handshake(client, stop)) transmission(client, stop, slot);
    }
  }

  // False at the end of the connection, or of the test.
  static bool read(const util::Fd &fd, void *data, size_t n, const std::stop_token &stop) {
    auto *to = static_cast<char *>(data);
    while (n > 0) {
      pollfd p = {fd.get(), POLLIN, 0};
      if (::poll(&p, 1, 20) == 0) {
        if (stop.stop_requested()) return false;
        continue;
      }
      ssize_t got = ::recv(fd.get(), to, n, 0);
      if (got <= 0) return false;
      to += got;
      n -= static_cast<size_t>(got);
    }
    return true;
  }

  // Fields of the protocol, big-endian, one after the other.
  class Message {
   public:
    template <typename T>
    Message &add(T value) {
      for (size_t i = sizeof(T); i-- > 0;) bytes_.push_back(static_cast<char>(value >> (8 * i)));
      return *this;
    }
    Message &add(std::string_view text) {
      bytes_.insert(bytes_.end(), text.begin(), text.end());
      return *this;
    }
    void send(const util::Fd &fd) { ::send(fd.get(), bytes_.data(), bytes_.size(), MSG_NOSIGNAL); }

   private:
    std::vector<char> bytes_;
  };

  bool handshake(const util::Fd &fd, const std::stop_token &stop) {
    const int connection = connections_++;
    constexpr uint64_t magic = 0x4e42444d41474943, have_opt = 0x49484156454f5054;
    constexpr uint64_t reply_magic = 0x3e889045565a9;
    constexpr uint32_t opt_go = 7, opt_structured_reply = 8, opt_set_meta_context = 10;
    constexpr uint32_t rep_ack = 1, rep_info = 3, rep_meta_context = 4,
                       rep_unsupported = 0x80000001;
    Message().add(magic).add(have_opt).add(uint16_t{3}).send(fd);
    uint32_t client_flags;
    if (!read(fd, &client_flags, sizeof client_flags, stop)) return false;
    for (;;) {
      struct {
        uint64_t magic;
        uint32_t option, length;
      } header;
      static_assert(sizeof header == 16);
      if (!read(fd, &header, sizeof header, stop)) return false;
      std::vector<char> data(be32toh(header.length));
      if (!read(fd, data.data(), data.size(), stop)) return false;
      uint32_t option = be32toh(header.option);
      auto acknowledge = [&] {
        Message().add(reply_magic).add(option).add(rep_ack).add(uint32_t{0}).send(fd);
      };
      if (tell_ && option == opt_structured_reply) {
        acknowledge();
        continue;
      }
      if (tell_ && option == opt_set_meta_context) {
        constexpr std::string_view name = "base:allocation";
        Message()
            .add(reply_magic)
            .add(option)
            .add(rep_meta_context)
            .add(static_cast<uint32_t>(4 + name.size()))
            .add(context_id)
            .add(name)
            .send(fd);
        acknowledge();
        continue;
      }
      if (option != opt_go) {
        Message().add(reply_magic).add(option).add(rep_unsupported).add(uint32_t{0}).send(fd);
        continue;
      }
      Message()
          .add(reply_magic)
          .add(option)
          .add(rep_info)
          .add(uint32_t{12})
          .add(uint16_t{0})
          .add(size)
          .add(uint16_t{has_flags | can_flush | multi_conn})
          .send(fd);
      if (describe_) {
        const std::string text = describe_(connection);
        Message()
            .add(reply_magic)
            .add(option)
            .add(rep_info)
            .add(static_cast<uint32_t>(2 + text.size()))
            .add(uint16_t{2})
            .add(std::string_view(text))
            .send(fd);
      }
      acknowledge();
      return true;
    }
  }

  void transmission(const util::Fd &fd, const std::stop_token &stop, int slot) {
    for (;;) {
      struct __attribute__((packed)) {
        uint32_t magic;
        uint16_t flags, type;
        uint64_t cookie, offset;
        uint32_t count;
      } header;
      static_assert(sizeof header == 28);
      if (!read(fd, &header, sizeof header, stop)) return;
      SmallRequest request{be16toh(header.type), be64toh(header.offset), be32toh(header.count),
                           slot};
      if (request.type == 2) {
        ++polite_ends_;
        return;
      }
      std::vector<char> payload(request.type == 1 ? request.count : 0);
      if (!read(fd, payload.data(), payload.size(), stop)) return;
      Reply reply = decide_(request);
      if (reply == Reply::hang_up) return;
      if (reply == Reply::never) continue;
      if (request.type == 7) {
        auto extents = tell_(request);
        Message message;
        message.add(uint32_t{0x668e33ef})
            .add(uint16_t{1})  // the last chunk
            .add(uint16_t{5})  // block status
            .add(be64toh(header.cookie))
            .add(static_cast<uint32_t>(4 + 8 * extents.size()))
            .add(context_id);
        for (auto [length, flags] : extents) message.add(length).add(flags);
        message.send(fd);
        continue;
      }
      Message().add(uint32_t{0x67446698}).add(uint32_t{0}).add(be64toh(header.cookie)).send(fd);
      if (request.type == 0) {
        payload.resize(request.count);
        ::send(fd.get(), payload.data(), payload.size(), MSG_NOSIGNAL);
      }
    }
  }

  Decide decide_;
  Tell tell_;
  Describe describe_;
  util::Fd listener_;
  std::string directory_;
  std::atomic<int> polite_ends_ = 0, connections_ = 0;
  std::vector<std::jthread> threads_;
};
