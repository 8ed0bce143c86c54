// SPDX-License-Identifier: BSD-3-Clause
//
// Tickets with which a vCenter Server sends us to an ESXi host for a file, and what else its API must
// be asked for to find one.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "plugins/vsphere/api/client.hpp"

namespace vsphere {

// A session of the server, a cookie, that several users of the server share. Any thread may call these.
class SharedSession {
 public:
  virtual ~SharedSession() = default;
  virtual std::string session() const = 0;  // empty: none
  // Puts `session` in place of `old`. Returns false if `old` is not the session any more.
  virtual bool replace_session(const std::string &old, const std::string &session) = 0;
};

// Used by any number of threads; they take turns. It speaks to the API with the session that the
// datastore has, so that there is one to log out of, and gives the datastore a new one it may get.
class ServiceTickets {
 public:
  // The credentials and the datastore must outlive it.
  ServiceTickets(const Endpoint &endpoint, const Credentials &credentials,
                 const RetryPolicy &policy, SharedSession &shared, const util::Log &log);

  // The name of the ESXi host that a virtual machine (a moref) runs on. Nothing, if the server is no
  // vCenter Server: then it is the host. Throws util::Error.
  std::optional<std::string> host_of(const std::string &vm);

  // The name of a datastore; or, if the reference is empty, those of all that a virtual machine (a
  // moref) is on. Throws util::Error.
  std::vector<std::string> datastore_names(const std::string &vm, const Ref &datastore);

  // For GET requests of that URL. Throws util::Error.
  Ticket acquire(const std::string &url);

  // Closes the connection, for a fork or the end, unless somebody is using it.
  void disconnect();

 private:
  template <typename Call>
  auto exclusively(Call &&call);

  Client client_;  // of the one whose turn it is
  SharedSession &shared_;
  bool connected_ = false;  // as client_

  std::mutex mutex_;  // protects busy_
  std::condition_variable free_;
  bool busy_ = false;
};

}  // namespace vsphere
