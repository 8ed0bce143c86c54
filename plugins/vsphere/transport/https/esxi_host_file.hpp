// SPDX-License-Identifier: BSD-3-Clause
//
// A file of a datastore, read from an ESXi host: the data does not pass through the vCenter Server.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "plugins/vsphere/api/service_tickets.hpp"
#include "plugins/vsphere/http/pool.hpp"
#include "plugins/vsphere/http/retry.hpp"
#include "plugins/vsphere/transport/https/datastore_path.hpp"

namespace vsphere {

// The URL of a file on a host. It has no datacenter, as hosts know none.
std::string host_url(const std::string &host, const DatastorePath &file);

// May be used from any thread. The vSphere API documents a ticket as good for one request. Many
// hosts accept one for longer: it is used until the host refuses it, then replaced.
class EsxiHostFile {
 public:
  // The pool (of connections to that host) and the tickets must outlive it. `ticket` is for
  // host_url().
  EsxiHostFile(HttpPool &pool, ServiceTickets &tickets, const DatastorePath &file,
               const Ticket &ticket, const RetryPolicy &policy, const util::Log &log);

  void disconnect() { pool_.disconnect(); }  // closes idle connections, before a fork
  const std::string &host() const { return pool_.endpoint().host; }

  // Reads the same range twice, to find out whether a ticket is good for more than one request.
  // Returns the size of the file. Does not retry. Throws util::Error if the host cannot be used.
  uint64_t probe(std::span<std::byte> buffer, uint64_t offset);

  // Fills the buffer from the offset. Retries as the policy says. Throws util::Error, also if the
  // file does not have the whole range.
  void read(std::span<std::byte> buffer, uint64_t offset);

 private:
  HttpRequest request_for(std::span<std::byte> buffer, uint64_t offset) const;
  uint64_t checked(const HttpResponse &response, const HttpRequest &request) const;
  HttpResponse send_with(const std::string &ticket, HttpRequest request);
  HttpResponse send_once(const HttpRequest &request);
  std::string ticket_other_than(const std::string &refused) ABSL_LOCKS_EXCLUDED(mutex_);

  HttpPool &pool_;
  ServiceTickets &tickets_;
  const DatastorePath file_;
  const std::string url_;
  const RetryPolicy policy_;
  const util::Log log_;
  std::atomic<bool> single_use_ = false;  // a ticket is good for one request only; set by probe()

  util::Mutex mutex_;
  std::string ticket_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace vsphere
