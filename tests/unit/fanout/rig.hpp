// SPDX-License-Identifier: BSD-3-Clause
//
// Destinations over servers in memory, and a primary to catch up from.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/util/error.hpp"
#include "filters/fanout/broadcast/broadcaster.hpp"
#include "tests/unit/bytes.hpp"
#include "tests/unit/fanout/server/fake_target.hpp"

namespace fanout {

// One server, which may be connected to several times; its content stays.
struct FakeServer {
  explicit FakeServer(uint64_t size) : target(size) {}
  FakeTarget target;
  std::atomic<bool> refuses = false;     // to be connected to
  std::atomic<int> connections = 0;      // so far
  std::atomic<unsigned> generation = 0;  // kill(): those of an older one are dead
  void kill() { ++generation; }

  class Connection : public Target {
   public:
    explicit Connection(FakeServer &server) : server_(server), mine_(server.generation) {}
    const nbd::Info &info() const override { return server_.target.info(); }
    bool dead() const override { return server_.generation != mine_ || server_.target.dead(); }
    size_t connections() const override { return 1; }
    void submit(nbd::Command &command) override {
      if (dead()) return complete(command, ENOTCONN);
      server_.target.submit(command);
    }

   private:
    FakeServer &server_;
    const unsigned mine_;
  };
};

struct Rig {
  // `prepare` may change the settings before the destinations are made.
  explicit Rig(size_t number = 2, uint64_t bytes = 1u << 20, size_t active = 100,
               const std::function<void(DestinationSettings &, size_t)> &prepare = {},
               const std::string &state = "")
      : size(bytes), primary(bytes, std::byte{0xff}), slots(active, [this] {
          for (const auto &d : list) d->wake();
        }) {
    for (size_t i = 0; i < number; ++i) {
      servers.push_back(std::make_unique<FakeServer>(bytes));
      DestinationSettings settings;
      settings.name = std::string(1, static_cast<char>('a' + i));
      settings.policy.retry_delay = std::chrono::milliseconds(5);
      settings.policy.retry_max = std::chrono::milliseconds(20);
      if (prepare) prepare(settings, i);
      counters.push_back(std::make_unique<Counters>(settings.name));
      FakeServer *server = servers.back().get();
      list.push_back(std::make_unique<Destination>(
          i, settings, state, *counters.back(),
          Environment{readers, slots,
                      [server](const DestinationSettings &s) -> std::unique_ptr<Target> {
                        if (server->refuses) {
                          util::fail(ECONNREFUSED, "{}: cannot connect: refused", s.name);
                        }
                        ++server->connections;
                        return std::make_unique<FakeServer::Connection>(*server);
                      },
                      util::Log([this](util::Level level, const std::string &text) {
                        std::lock_guard guard(log_lock);
                        log += text + "\n";
                        if (level == util::Level::error) loud_log += "error: " + text + "\n";
                        if (level == util::Level::warning) loud_log += "warning: " + text + "\n";
                      }),
                      [] {}}));
    }
  }
  ~Rig() { close(); }

  // Opens and starts; a client is there that the primary can be read through.
  Broadcaster &open() {
    for (const auto &d : list) d->open(size, "");
    for (const auto &d : list) d->connect_first();
    broadcaster.emplace(list);
    for (const auto &d : list) d->start();
    reader = readers.add([this](std::span<std::byte> buffer, uint64_t offset) {
      if (unreadable) throw std::runtime_error("unreadable");
      std::lock_guard guard(primary_lock);
      std::memcpy(buffer.data(), primary.data() + offset, buffer.size());
    });
    return *broadcaster;
  }
  // Waits until every destination is at its end. What was to be sent or owed is not to be found by a comparison.
  void drain() {
    for (const auto &d : list) d->drain();
    until([&] {
      return std::all_of(list.begin(), list.end(), [](const auto &d) { return d->at_end(); });
    });
    if (differences_expected) return;
    for (const auto &c : counters)
      if (c->verify_mismatches > 0) throw std::runtime_error("a difference was found at the end");
  }
  void close() {
    for (const auto &d : list) d->close();
    if (reader) readers.remove(*reader);
    reader.reset();
  }

  void write(uint64_t offset, size_t count, std::byte value, bool fua = false) {
    std::vector<std::byte> data(count, value);
    broadcaster->write(data, offset, fua, [&] {
      std::lock_guard guard(primary_lock);
      std::memcpy(primary.data() + offset, data.data(), count);
    });
  }
  bool equal(size_t i) {
    std::lock_guard guard(primary_lock);
    return testing::equal(servers[i]->target.content, primary);
  }
  std::string state_of(size_t i) { return list[i]->progress(); }
  bool is(size_t i, const std::string &state) {
    return state_of(i).find(": " + state + ",") != std::string::npos;
  }
  template <typename F>
  static void until(F &&f) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(10);
    while (!f()) {
      if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("timed out");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  // Errors and warnings.
  std::string loud() {
    std::lock_guard guard(log_lock);
    return loud_log;
  }
  std::string said() {
    std::lock_guard guard(log_lock);
    return log;
  }

  const uint64_t size;
  std::mutex primary_lock, log_lock;
  std::vector<std::byte> primary;
  std::atomic<bool> unreadable = false;  // the primary
  bool differences_expected = false;     // by a comparison of a destination with the primary
  std::string log, loud_log;
  PrimaryReaders readers;
  ActiveSlots slots;
  std::vector<std::unique_ptr<FakeServer>> servers;
  std::vector<std::unique_ptr<Counters>> counters;
  DestinationList list;
  std::optional<Broadcaster> broadcaster;
  std::optional<PrimaryReaders::Id> reader;
};

}  // namespace fanout
