// SPDX-License-Identifier: BSD-3-Clause
//
// Files of datastores, read over HTTPS from the server that the plugin logs in to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/util/log.hpp"
#include "plugins/vsphere/http/pool.hpp"
#include "plugins/vsphere/http/retry.hpp"
#include "plugins/vsphere/transport/https/datastore_path.hpp"
#include "plugins/vsphere/transport/https/login_session.hpp"

namespace vsphere {

// May be used from any thread. Broken connections, timeouts, server errors and expired sessions are
// retried as the policy says.
class Datastore {
 public:
  // The credentials must outlive it.
  Datastore(const Endpoint &endpoint, const Credentials &credentials, const RetryPolicy &policy,
            unsigned connections, const util::Log &log);

  // Returns the whole of a small text file. Sets file.quoted_twice to what the server understands.
  std::string read_text(DatastorePath &file);

  // Fills the buffer from the offset. Returns the size of the file. Throws util::Error if the file
  // does not have the whole range.
  uint64_t read(const DatastorePath &file, std::span<std::byte> buffer, uint64_t offset);

  // Closes all idle connections, before a fork. No read may be in progress.
  void disconnect() { pool_.disconnect(); }

  LoginSession &login() { return login_; }
  const LoginSession &login() const { return login_; }

 private:
  HttpResponse get(const DatastorePath &file, HttpRequest request);

  const RetryPolicy policy_;
  const util::Log log_;
  HttpPool pool_;
  LoginSession login_;
};

}  // namespace vsphere
