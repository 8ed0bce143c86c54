// SPDX-License-Identifier: BSD-3-Clause
//
// The flat file of a disk, by the best of the ways to it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "plugins/vsphere/transport/https/datastore.hpp"
#include "plugins/vsphere/transport/https/esxi_host_file.hpp"
#include "plugins/vsphere/transport/transport.hpp"

namespace vsphere {

class FlatFile : public DiskReader {
 public:
  struct Routes {
    Datastore &server;
    std::string server_name;
    std::unique_ptr<HostFile> host;  // null: there is no way past the server
  };

  // The datastore and the office must outlive it.
  FlatFile(Routes routes, TicketOffice &tickets, const DatastoreFile &file, uint64_t size,
           const util::Log &log);

  uint64_t size() const override { return size_; }

  // From the host, until it fails after its retries; from then on through the server.
  void read(std::span<std::byte> buffer, uint64_t offset) override;

  void disconnect() noexcept override;

 private:
  bool read_from_host(std::span<std::byte> buffer, uint64_t offset);

  const Routes routes_;
  TicketOffice &tickets_;
  const DatastoreFile file_;
  const uint64_t size_;
  const util::Log log_;
  std::atomic<bool> directly_;
};

}  // namespace vsphere
