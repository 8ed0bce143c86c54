// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/server/target.hpp"

#include <bit>
#include <cerrno>
#include <utility>

#include "common/nbd/pool.hpp"
#include "common/util/error.hpp"

namespace fanout {

namespace {

class Request final : public nbd::Command {
 public:
  Request(nbd::Operation what, uint64_t at, uint64_t bytes, Completion done)
      : done_(std::move(done)) {
    operation = what;
    offset = at;
    count = bytes;
  }

 private:
  void completed(int errnum) override {
    std::unique_ptr<Request> self(this);
    done_(errnum);
  }
  Completion done_;
};

class PoolTarget : public Target {
 public:
  PoolTarget(const nbd::Options &options, unsigned connections, const util::Log &log)
      : pool_(options, connections, log) {}

  const nbd::Info &info() const override { return pool_.info(); }
  bool dead() const override { return pool_.dead(); }
  void pwrite(std::span<const std::byte> buffer, uint64_t offset, uint32_t flags,
              Completion done) override {
    auto *r = new Request(nbd::Operation::write, offset, buffer.size(), std::move(done));
    r->data = buffer.data();
    r->flags = flags;
    pool_.submit(*r);
  }
  void pread(std::span<std::byte> buffer, uint64_t offset, Completion done) override {
    auto *r = new Request(nbd::Operation::read, offset, buffer.size(), std::move(done));
    r->into = buffer.data();
    pool_.submit(*r);
  }
  void zero(uint64_t count, uint64_t offset, uint32_t flags, Completion done) override {
    auto *r = new Request(nbd::Operation::zero, offset, count, std::move(done));
    r->flags = flags;
    pool_.submit(*r);
  }
  // On one of them: a server with multi-conn promises that it covers the others.
  void flush(Completion done) override {
    pool_.submit(*new Request(nbd::Operation::flush, 0, 0, std::move(done)));
  }

 private:
  nbd::Pool pool_;
};

std::unique_ptr<Target> connect(const Settings &settings, unsigned connections,
                                const util::Log &log) {
  nbd::Options options;
  options.uri = settings.uri;
  options.name = settings.name;
  options.connect_timeout = settings.connect_timeout;
  options.request_timeout = settings.request_timeout;
  options.background = settings.policy.async;
  auto target = std::make_unique<PoolTarget>(options, connections, log);

  constexpr uint32_t largest_minimum = 65536;  // that nbdkit can pass on to its client
  const nbd::Info &info = target->info();
  if (info.read_only) {
    util::fail(EROFS, "{}: the export is read-only: a destination must be writable", settings.name);
  }
  if (!std::has_single_bit(info.minimum_block) || info.minimum_block > largest_minimum) {
    util::fail(EINVAL,
               "{}: the server takes only blocks of {} bytes: {} is the most we can do with",
               settings.name, info.minimum_block, largest_minimum);
  }
  return target;
}

}  // namespace

std::unique_ptr<Target> connect(const Settings &settings, const util::Log &log) {
  return connect(settings, settings.connections, log);
}

nbd::Info probe(const Settings &settings) {
  return connect(settings, 1, {})->info();
}

}  // namespace fanout
