// SPDX-License-Identifier: BSD-3-Clause
//
// A file of a datastore, read from an ESXi host: the bytes do not go through the vCenter Server.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>

#include "plugins/vsphere/api/service_tickets.hpp"
#include "plugins/vsphere/http/pool.hpp"
#include "plugins/vsphere/transport/https/folder_url.hpp"

namespace vsphere {

// What a host answers to, without its datacenter: hosts know none.
std::string host_url(const std::string &host, const DatastoreFile &file);

// Used by any number of threads. vSphere calls its tickets good for one request; hosts that take one
// more often are asked for more with it, until they refuse it.
class HostFile {
 public:
  // The pool (of connections to that host) and the office must outlive it. `ticket` is for host_url().
  HostFile(HttpPool &pool, TicketOffice &office, const DatastoreFile &file, const Ticket &ticket,
           const RetryPolicy &policy, const util::Log &log);

  void disconnect() { pool_.disconnect(); }  // closes idle connections, for a fork
  const std::string &host() const { return pool_.endpoint().host; }

  // Fills the buffer twice, to find out how often a ticket is good. No retries. Returns the size of
  // the file. Throws util::Error if the host is not to be used.
  uint64_t probe(std::span<std::byte> buffer, uint64_t offset);

  // Fills the buffer from the offset, with retries; all of it must be there. Throws util::Error.
  void read(std::span<std::byte> buffer, uint64_t offset);

 private:
  HttpRequest request_for(std::span<std::byte> buffer, uint64_t offset) const;
  uint64_t checked(const HttpResponse &response, const HttpRequest &request) const;
  HttpResponse send_with(const std::string &ticket, HttpRequest request);
  HttpResponse send_once(const HttpRequest &request);
  std::string ticket_other_than(const std::string &refused);

  HttpPool &pool_;
  TicketOffice &office_;
  const DatastoreFile file_;
  const std::string url_;
  const RetryPolicy policy_;
  const util::Log log_;
  std::atomic<bool> one_each_ = false;  // a ticket is good for one request only

  std::mutex mutex_;  // protects ticket_
  std::string ticket_;
};

}  // namespace vsphere
