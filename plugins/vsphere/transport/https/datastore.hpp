// SPDX-License-Identifier: BSD-3-Clause
//
// Files of datastores, read over HTTPS from the server we log in to.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>

#include "common/util/log.hpp"
#include "plugins/vsphere/api/service_tickets.hpp"
#include "plugins/vsphere/http/pool.hpp"
#include "plugins/vsphere/http/retry.hpp"
#include "plugins/vsphere/transport/https/folder_url.hpp"

namespace vsphere {

// Used by any number of threads. Reads are retried as the policy says: broken connections, timeouts,
// server errors, sessions that have expired.
class Datastore : public SharedSession {
 public:
  // The credentials must outlive it.
  Datastore(const Endpoint &endpoint, const Credentials &credentials, const RetryPolicy &policy,
            unsigned connections, const util::Log &log);

  // A small text file, whole. Sets file.quoted_twice to what the server understood.
  std::string read_text(DatastoreFile &file);

  // Fills the buffer from the offset; all of it must be there. Returns the size of the file.
  uint64_t read(const DatastoreFile &file, std::span<std::byte> buffer, uint64_t offset);

  // Closes all idle connections, for a fork. No read may be in progress.
  void disconnect() { pool_.disconnect(); }

  // The session that the server gave us for these reads, as a cookie to log out with, or to speak to
  // its API with; empty if none.
  std::string session() const override;
  // Takes over one that its API gave us, in place of `old`. False if that is not the session any more.
  bool replace_session(const std::string &old, const std::string &cookie) override;

 private:
  HttpResponse get(const DatastoreFile &file, HttpRequest request);
  HttpResponse send_once(const HttpRequest &request);
  std::string session_or_turn();
  void forget(const std::string &cookie);
  HttpResponse log_in(HttpConnection &http, HttpRequest request);

  const Credentials &credentials_;
  const RetryPolicy policy_;
  const util::Log log_;
  HttpPool pool_;

  mutable std::mutex mutex_;  // protects what follows; never held while data moves
  std::condition_variable logged_in_;
  bool logging_in_ = false;   // a thread does it, the others wait: one session is enough
  bool sessionless_ = false;  // the server gives none: every request brings name and password
  std::string cookie_;        // the session that Basic authentication began; empty: none yet
  bool let_in_ = false;       // whether a login was ever accepted
  unsigned refusals_ = 0;     // of logins since then, one after the other
};

}  // namespace vsphere
