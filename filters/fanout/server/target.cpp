// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/server/target.hpp"

#include <bit>
#include <cerrno>

#include "common/nbd/pool.hpp"
#include "common/util/error.hpp"

namespace fanout {

namespace {

class PoolTarget : public Target {
 public:
  PoolTarget(const nbd::Options &options, unsigned connections, const util::Log &log)
      : pool_(options, connections, log) {}

  const nbd::Info &info() const override { return pool_.info(); }
  bool dead() const override { return pool_.dead(); }
  size_t connections() const override { return pool_.connections(); }
  // A flush goes to one connection: a server that offers multi-conn flushes for all of them.
  void submit(nbd::Command &command) override { pool_.submit(command); }

 private:
  nbd::Pool pool_;
};

std::unique_ptr<Target> connect(const DestinationSettings &settings, unsigned connections,
                                const util::Log &log) {
  nbd::Options options;
  options.uri = settings.uri;
  options.name = settings.name;
  options.connect_timeout = settings.connect_timeout;
  options.request_timeout = settings.request_timeout;
  options.background = settings.policy.async;
  auto target = std::make_unique<PoolTarget>(options, connections, log);

  constexpr uint32_t largest_minimum = 65536;  // the largest that nbdkit can advertise
  const nbd::Info &info = target->info();
  if (info.read_only) {
    util::fail(EROFS, "{}: the export is read-only: a destination must be writable", settings.name);
  }
  if (!std::has_single_bit(info.minimum_block) || info.minimum_block > largest_minimum) {
    util::fail(EINVAL,
               "{}: the server's minimum block size is {} bytes: the largest supported is {}",
               settings.name, info.minimum_block, largest_minimum);
  }
  return target;
}

}  // namespace

std::unique_ptr<Target> connect(const DestinationSettings &settings, const util::Log &log) {
  return connect(settings, settings.connections, log);
}

nbd::Info probe(const DestinationSettings &settings) {
  return connect(settings, 1, {})->info();
}

}  // namespace fanout
