// SPDX-License-Identifier: BSD-3-Clause
//
// transport=https: the flat file of a disk, read from the datastore in ranges. The ranges come
// directly from the ESXi host that the virtual machine runs on, if the vCenter Server gives a
// ticket for it and the host accepts it, else through the server that the plugin logs in to.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "plugins/vsphere/api/service_tickets.hpp"
#include "plugins/vsphere/transport/https/datastore.hpp"
#include "plugins/vsphere/transport/https/esxi_host_file.hpp"
#include "plugins/vsphere/transport/transport.hpp"

namespace vsphere {

// Not synchronised: one thread opens the disks.
class HttpsTransport : public Transport {
 public:
  // The credentials must outlive the transport, and the transport the disks that it opens.
  HttpsTransport(const Endpoint &endpoint, const Credentials &credentials,
                 const RetryPolicy &policy, unsigned connections, const util::Log &log);

  // Reads the descriptor, which names the flat file, and the last sector of that.
  std::unique_ptr<DiskReader> open(const DiskPlace &place) override;
  bool reads_chains() const override { return false; }
  bool decrypts() const override { return false; }
  std::string description() const override;
  void disconnect() noexcept override;
  std::string end_session() override { return datastore_.login().end(); }

 private:
  std::unique_ptr<EsxiHostFile> find_host(const DiskPlace &place, const DatastorePath &file,
                                          std::span<const std::byte> last, uint64_t size);
  std::unique_ptr<EsxiHostFile> try_host(const std::string &host, const DiskPlace &place,
                                         const DatastorePath &file, std::span<const std::byte> last,
                                         uint64_t size);
  HttpPool &pool_of(const std::string &host, const std::string &thumbprint);

  const Endpoint endpoint_;
  const RetryPolicy policy_;
  const unsigned connections_;
  const util::Log log_;
  Datastore datastore_;
  ServiceTickets tickets_;
  std::list<HttpPool>
      host_pools_;           // by host: the machine may move between the opening of two disks
  std::string unreachable_;  // a host that is not tried again for the next disk
  std::string route_;        // of the last disk opened, for the log
};

}  // namespace vsphere
