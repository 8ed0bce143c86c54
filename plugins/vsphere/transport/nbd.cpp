// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/nbd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/nbd/pool.hpp"
#include "common/nbd/uri.hpp"
#include "plugins/vsphere/transport/renewable.hpp"

namespace vsphere {

namespace {

nbd::Options options_for(const std::string &uri, std::chrono::seconds timeout,
                         const std::function<void()> &interrupt) {
  nbd::Options options;
  options.uri = uri;
  options.name = nbd::name_of_uri(uri);
  options.request_timeout = timeout;
  options.interrupt = interrupt;
  options.leave_timeout =
      std::chrono::milliseconds{800};  // as the manual page says how soon a start can be ended
  options.connect_timeout = std::min<std::chrono::milliseconds>(options.connect_timeout, timeout);
  return options;
}

// Errors that the server gives for the request itself come again.
bool is_temporary(int errnum) {
  return errnum != EINVAL && errnum != EPERM && errnum != EOVERFLOW && errnum != ENOTSUP;
}

class NbdDisk : public DiskReader {
 public:
  NbdDisk(const nbd::Options &options, unsigned connections, const RetryPolicy &policy,
          const util::Log &log, uint64_t capacity)
      : options_(options),
        connections_(connections),
        policy_(policy),
        log_(log),
        capacity_(capacity) {}

  uint64_t size() const override { return capacity_; }

  void read(std::span<std::byte> buffer, uint64_t offset) override {
    auto what = fmt::format("reading {} bytes at offset {} over nbd", buffer.size(), offset);
    with_retries(policy_, log_, what, [&] { read_once(buffer, offset); });
  }

  void read_once(std::span<std::byte> buffer, uint64_t offset) {
    try {
      pool_.get([this](const auto &) { return connect(); })->pread(buffer, offset);
    } catch (const TransportError &) {
      throw;
    } catch (const util::Error &e) {
      if (e.errnum() == EINTR) throw;  // told to end
      throw TransportError(e.errnum(), fmt::format("transport nbd: {}", e.what()),
                           is_temporary(e.errnum()), /*connected=*/true);
    }
  }

  void disconnect() noexcept override { pool_.take(); }

 private:
  std::shared_ptr<nbd::Pool> connect() const {
    auto pool = std::make_shared<nbd::Pool>(options_, connections_, log_);
    if (pool->info().size != capacity_) {
      throw TransportError(
          EINVAL,
          fmt::format("nbd-uri={}: that server's disk has {} bytes, but the virtual machine's has "
                      "{}: it is another disk, or not as it is in the snapshot",
                      options_.name, pool->info().size, capacity_),
          /*retryable=*/false, /*connected=*/true);
    }
    return pool;
  }

  const nbd::Options options_;
  const unsigned connections_;
  const RetryPolicy policy_;
  const util::Log log_;
  const uint64_t capacity_;  // bytes
  Renewable<nbd::Pool> pool_;
};

}  // namespace

NbdTransport::NbdTransport(const std::string &uri, unsigned connections,
                           std::chrono::seconds timeout, const std::function<void()> &interrupt,
                           const RetryPolicy &policy, const util::Log &log)
    : options_(options_for(uri, timeout, interrupt)),
      connections_(connections),
      policy_(policy),
      log_(log) {}

std::unique_ptr<DiskReader> NbdTransport::open(const DiskPlace &place) {
  if (place.info.capacity < sector_size) util::fail(EIO, "disk {} has no sector", place.info.key);
  auto disk = std::make_unique<NbdDisk>(options_, connections_, policy_, log_, place.info.capacity);
  std::array<std::byte, sector_size> last;
  disk->read_once(last, place.info.capacity - sector_size);
  return disk;
}

std::string NbdTransport::description() const {
  return fmt::format("nbd ({}), up to {} connections", options_.name, connections_);
}

}  // namespace vsphere
