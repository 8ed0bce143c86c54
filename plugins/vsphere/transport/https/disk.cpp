// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/disk.hpp"

#include <utility>

namespace vsphere {

namespace {

// The transport, the host, the place, and why.
std::string describe(const std::string &host, std::span<std::byte> buffer, uint64_t offset,
                     const DatastoreFile &file, const char *why) {
  return fmt::format("reading {} bytes at offset {} of {} over https from {}: {}", buffer.size(),
                     offset, file.name(), host, why);
}

}  // namespace

FlatFile::FlatFile(Routes routes, TicketOffice &tickets, const DatastoreFile &file, uint64_t size,
                   const util::Log &log)
    : routes_(std::move(routes)),
      tickets_(tickets),
      file_(file),
      size_(size),
      log_(log),
      directly_(routes_.host != nullptr) {}

void FlatFile::read(std::span<std::byte> buffer, uint64_t offset) {
  if (directly_ && read_from_host(buffer, offset)) return;
  try {
    routes_.server.read(file_, buffer, offset);
  } catch (const util::Error &e) {
    throw util::Error(e.errnum(), describe(routes_.server_name, buffer, offset, file_, e.what()));
  }
}

// Whether it could. The machine may have moved to another host, which the server knows to find.
bool FlatFile::read_from_host(std::span<std::byte> buffer, uint64_t offset) {
  try {
    routes_.host->read(buffer, offset);
    return true;
  } catch (const util::Error &e) {
    if (directly_.exchange(false)) {
      log_.warning("{}; from now on it is read through {}",
                   describe(routes_.host->host(), buffer, offset, file_, e.what()),
                   routes_.server_name);
    }
    return false;
  }
}

void FlatFile::disconnect() noexcept {
  routes_.server.disconnect();
  if (routes_.host) routes_.host->disconnect();
  tickets_.disconnect();
}

}  // namespace vsphere
