// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/disk.hpp"

#include <cerrno>
#include <utility>

namespace vsphere {

namespace {

std::string describe_failure(const std::string &host, std::span<std::byte> buffer, uint64_t offset,
                             const DatastorePath &file, const char *why) {
  return fmt::format("reading {} bytes at offset {} of {} over https from {}: {}", buffer.size(),
                     offset, file.name(), host, why);
}

}  // namespace

HttpsDisk::HttpsDisk(Routes routes, ServiceTickets &tickets, const DatastorePath &file,
                     uint64_t size, const util::Log &log)
    : routes_(std::move(routes)),
      tickets_(tickets),
      file_(file),
      size_(size),
      log_(log),
      use_host_(routes_.host != nullptr) {}

void HttpsDisk::read(std::span<std::byte> buffer, uint64_t offset) {
  if (use_host_ && read_from_host(buffer, offset)) return;
  try {
    routes_.server.read(file_, buffer, offset);
  } catch (const util::Error &e) {
    throw util::Error(e.errnum(),
                      describe_failure(routes_.server_name, buffer, offset, file_, e.what()));
  }
}

// Returns false if the host fails. The virtual machine may have moved to another host; the server
// finds the file wherever it runs.
bool HttpsDisk::read_from_host(std::span<std::byte> buffer, uint64_t offset) {
  try {
    routes_.host->read(buffer, offset);
    return true;
  } catch (const util::Error &e) {
    if (e.errnum() == EINTR) throw;  // told to end
    if (use_host_.exchange(false)) {
      log_.warning("{}; from now on it is read through {}",
                   describe_failure(routes_.host->host(), buffer, offset, file_, e.what()),
                   routes_.server_name);
    }
    return false;
  }
}

void HttpsDisk::disconnect() noexcept {
  routes_.server.disconnect();
  if (routes_.host) routes_.host->disconnect();
  tickets_.disconnect();
}

}  // namespace vsphere
