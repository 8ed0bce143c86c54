// SPDX-License-Identifier: BSD-3-Clause
//
// What a destination needs of an NBD server, so that it can be tested without one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "common/nbd/connection.hpp"
#include "common/util/log.hpp"
#include "filters/fanout/settings.hpp"

namespace fanout {

using Completion = std::function<void(int errnum)>;

// As nbd::Connection: any thread may submit, buffers live until the completion.
class Target {
 public:
  virtual ~Target() = default;
  virtual const nbd::Info &info() const = 0;
  virtual bool dead() const = 0;
  virtual void pwrite(std::span<const std::byte> buffer, uint64_t offset, uint32_t flags,
                      Completion done) = 0;
  virtual void pread(std::span<std::byte> buffer, uint64_t offset, Completion done) = 0;
  virtual void zero(uint64_t count, uint64_t offset, uint32_t flags, Completion done) = 0;
  virtual void flush(Completion done) = 0;
};

// Connects as the settings say; throws util::Error that names the destination.
std::unique_ptr<Target> connect(const Settings &settings, const util::Log &log);

// Connects once, to see that the server is there and can be written to, and disconnects: qemu-nbd
// may have no place for a second client. Returns what it told. Throws util::Error.
nbd::Info probe(const Settings &settings);

}  // namespace fanout
