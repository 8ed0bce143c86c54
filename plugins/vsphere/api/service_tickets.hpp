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
#include "plugins/vsphere/http/login_session.hpp"

namespace vsphere {

// Used by any number of threads; they take turns. It uses the given
// session for the API, so that there is one to log out of, and replaces it if the API begins a new one.
class TicketOffice {
 public:
  // The credentials and the session must outlive it.
  TicketOffice(const Endpoint &endpoint, const Credentials &credentials, const RetryPolicy &policy,
               LoginSession &session, const util::Log &log);

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
  auto in_turn(Call &&call);

  Client client_;  // of the one whose turn it is
  LoginSession &session_;
  bool connected_ = false;  // as client_

  std::mutex mutex_;  // protects busy_
  std::condition_variable free_;
  bool busy_ = false;
};

}  // namespace vsphere
