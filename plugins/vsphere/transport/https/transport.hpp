// SPDX-License-Identifier: BSD-3-Clause
//
// transport=https: the flat file of a disk, read from the datastore in ranges - from the ESXi host that
// the machine runs on, where the vCenter Server gives us a ticket and the host lets us in, else through
// the server we log in to.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "plugins/vsphere/transport/https/datastore.hpp"
#include "plugins/vsphere/transport/https/esxi_host_file.hpp"
#include "plugins/vsphere/transport/transport.hpp"

namespace vsphere {

class HttpsTransport : public Transport {
 public:
  // The credentials must outlive it, and it the readers.
  HttpsTransport(const Endpoint &endpoint, const Credentials &credentials,
                 const RetryPolicy &policy, unsigned connections, const util::Log &log);

  // Reads the descriptor, takes the file from it, and tries the disk's last sector.
  std::unique_ptr<DiskReader> open(const DiskPlace &place) override;
  bool reads_chains() const override { return false; }
  std::string description() const override;
  std::string session() const override { return datastore_.session(); }

 private:
  std::unique_ptr<HostFile> direct(const DiskPlace &place, const DatastoreFile &file,
                                   std::span<const std::byte> last, uint64_t size);
  std::unique_ptr<HostFile> try_host(const std::string &host, const DiskPlace &place,
                                     const DatastoreFile &file, std::span<const std::byte> last,
                                     uint64_t size);
  HttpPool &pool_of(const std::string &host, const std::string &thumbprint);

  const Endpoint endpoint_;
  const RetryPolicy policy_;
  const unsigned connections_;
  const util::Log log_;
  Datastore datastore_;
  TicketOffice tickets_;
  std::list<HttpPool> host_pools_;  // a machine may move to another host between two disks
  std::string unreachable_;         // a host that the other disks need not wait for
  std::string route_;               // of the last disk opened, for the log
};

}  // namespace vsphere
