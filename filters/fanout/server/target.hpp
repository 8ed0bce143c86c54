// SPDX-License-Identifier: BSD-3-Clause
//
// The NBD server of a destination: an interface, so that a test needs no server.
#pragma once

#include <cstddef>
#include <memory>

#include "common/nbd/command.hpp"
#include "common/nbd/connection.hpp"
#include "common/util/log.hpp"
#include "filters/fanout/settings.hpp"

namespace fanout {

class Target {
 public:
  virtual ~Target() = default;
  virtual const nbd::Info &info() const = 0;
  virtual bool dead() const = 0;
  virtual size_t connections() const = 0;
  // As nbd::Connection::submit(): from any thread, does not block.
  virtual void submit(nbd::Command &command) = 0;
};

// Connects. Throws util::Error, which names the destination.
std::unique_ptr<Target> connect(const DestinationSettings &settings, const util::Log &log);

// Checks that the server is there and writable: makes one connection and closes it, because
// qemu-nbd may have no slot for a second client. Throws util::Error.
nbd::Info probe(const DestinationSettings &settings);

}  // namespace fanout
