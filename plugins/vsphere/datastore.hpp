// SPDX-License-Identifier: BSD-3-Clause
//
// Files of datastores, read over HTTPS: GET /folder/PATH?dcPath=DATACENTER&dsName=DATASTORE.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/util/log.hpp"
#include "plugins/vsphere/http.hpp"
#include "plugins/vsphere/retry.hpp"

namespace vsphere {

// Where a file lies, as in "[datastore] directory/file.vmdk".
struct DatastoreFile {
  std::string datacenter;  // its inventory path, without the leading slash: "Europe/DC0"
  std::string datastore;
  std::string path;
  bool quoted_twice = false;  // whether the server decodes dcPath and dsName twice

  std::string name() const { return "[" + datastore + "] " + path; }
  // The file beside it.
  DatastoreFile sibling(const std::string &file) const;
};

// Throws util::Error EPROTO if the text is not of that shape.
DatastoreFile parse_datastore_path(const std::string &text, const std::string &datacenter);

// The path and query to ask for.
std::string folder_url(const DatastoreFile &file);

// "bytes 0-511/1024", which must be the answer to a request for [offset, offset + length); returns
// the size of the file. Throws util::Error EIO.
uint64_t check_content_range(const std::string &text, uint64_t offset, uint64_t length,
                             const std::string &name);

// Several keep-alive connections, used by any number of threads. Reads are retried as the policy
// says: broken connections, timeouts, server errors, sessions that have expired.
class Datastore {
 public:
  // The credentials must outlive it.
  Datastore(const Endpoint &endpoint, const Credentials &credentials, const RetryPolicy &policy,
            unsigned connections, const util::Log &log);

  // A small text file, whole. Sets file.quoted_twice to what the server understood.
  std::string read_text(DatastoreFile &file);

  // Fills the buffer from the offset; all of it must be there. Returns the size of the file.
  uint64_t read(const DatastoreFile &file, std::span<std::byte> buffer, uint64_t offset);

  // Closes all idle connections, for a fork. No read may be in progress.
  void disconnect();

  // The session that the server gave us for these reads, as a cookie to log out with; empty if
  // none.
  std::string session() const;

 private:
  class Lease;
  HttpResponse get(const DatastoreFile &file, HttpRequest request);
  HttpResponse send_once(HttpRequest request);

  const Endpoint endpoint_;
  const Credentials &credentials_;
  const RetryPolicy policy_;
  const unsigned connections_;
  const util::Log log_;

  mutable std::mutex mutex_;  // protects what follows; never held while data moves
  std::condition_variable freed_;
  std::vector<std::unique_ptr<Http>> idle_;
  unsigned in_use_ = 0;
  std::string cookie_;     // the session that Basic authentication began; empty: none yet
  bool let_in_ = false;    // whether a login was ever accepted
  unsigned refusals_ = 0;  // of logins since then, one after the other
};

}  // namespace vsphere
