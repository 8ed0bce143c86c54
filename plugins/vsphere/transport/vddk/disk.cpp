// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/disk.hpp"

#include <cerrno>
#include <utility>

#include "plugins/vsphere/transport/vddk/abi.hpp"
#include "plugins/vsphere/transport/vddk/allocated_blocks.hpp"
#include "plugins/vsphere/transport/vddk/worker/open_error.hpp"

namespace vsphere::vddk {

VddkDisk::VddkDisk(DiskOptions options, const util::Log &log)
    : options_(std::move(options)), log_(log) {
  worker();
  opened_ = true;
}

std::shared_ptr<Worker> VddkDisk::worker() {
  return worker_.get([this](const std::shared_ptr<Worker> &dead) {
    end(dead);  // it is reaped before the next one starts
    return start_worker();
  });
}

std::shared_ptr<Worker> VddkDisk::start_worker() const {
  try {
    auto worker =
        std::make_shared<Worker>(options_.helper, options_.make_start(), options_.deadlines, log_);
    const uint64_t size = worker->sectors() * sector_size;
    if (size < options_.capacity) {
      throw OpenError(EIO, fmt::format("{}: VDDK sees {} bytes, but the disk has {}", options_.name,
                                       size, options_.capacity));
    }
    return worker;
  } catch (const util::Error &e) {
    if (e.errnum() == EINTR) throw;  // told to end
    throw TransportError(e.errnum(), fmt::format("transport vddk: {}", e.what()),
                         /*retryable=*/opened_, /*connected=*/opened_);
  }
}

// Waits until the process has ended.
void VddkDisk::end(const std::shared_ptr<Worker> &worker) noexcept {
  if (!worker) return;
  worker->stop();
  log_.debug("VDDK has read {} bytes of {} in {} requests so far", counters_.bytes.load(),
             options_.name, counters_.requests.load());
}

void VddkDisk::disconnect() noexcept {
  end(worker_.take());
}

std::string VddkDisk::mode() {
  return worker()->mode();
}

void VddkDisk::read(std::span<std::byte> buffer, uint64_t offset) {
  auto what =
      fmt::format("reading {} bytes at offset {} of {}", buffer.size(), offset, options_.name);
  unsigned failures = 0;
  with_retries(options_.retry, log_, what, [&] {
    std::shared_ptr<Worker> worker = this->worker();
    try {
      split_read(*worker, buffer, offset, options_.name, counters_);
    } catch (const TransportError &) {
      // The first retry uses the same disk handle. If that fails too, VDDK's connection may be
      // broken: the helper finishes its other requests and is replaced.
      if (++failures > 1) worker_.discard(worker, [this](const auto &broken) { end(broken); });
      throw;
    }
  });
}

std::optional<std::vector<extents::Range>> VddkDisk::allocated() {
  try {
    return with_retries(options_.retry, log_, "querying the allocated blocks of " + options_.name,
                        [&] { return query_allocated_blocks(*worker(), options_.capacity); });
  } catch (const util::Error &e) {
    if (e.errnum() == EINTR) throw;  // told to end
    log_.info("VDDK cannot list the allocated blocks of {}: {}", options_.name, e.what());
    return std::nullopt;
  }
}

}  // namespace vsphere::vddk
