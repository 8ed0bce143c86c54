// SPDX-License-Identifier: BSD-3-Clause
//
// A disk read over HTTPS: its flat file, by one of two routes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/util/log.hpp"
#include "plugins/vsphere/transport/https/datastore.hpp"
#include "plugins/vsphere/transport/https/esxi_host_file.hpp"
#include "plugins/vsphere/transport/transport.hpp"

namespace vsphere {

class HttpsDisk : public DiskReader {
 public:
  struct Routes {
    Datastore &server;  // always possible
    std::string server_name;
    std::unique_ptr<EsxiHostFile> host;  // preferred; null if there is no such route
  };

  // The datastore and the tickets must outlive it.
  HttpsDisk(Routes routes, ServiceTickets &tickets, const DatastorePath &file, uint64_t size,
            const util::Log &log);

  uint64_t size() const override { return size_; }

  // From the host until a read fails there after its retries; from then on through the server, for
  // all reads of this disk.
  void read(std::span<std::byte> buffer, uint64_t offset) override;

  void disconnect() noexcept override;

 private:
  bool read_from_host(std::span<std::byte> buffer, uint64_t offset);

  const Routes routes_;
  ServiceTickets &tickets_;
  const DatastorePath file_;
  const uint64_t size_;  // bytes
  const util::Log log_;
  std::atomic<bool> use_host_;
};

}  // namespace vsphere
