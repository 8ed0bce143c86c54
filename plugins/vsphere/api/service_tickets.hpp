// SPDX-License-Identifier: BSD-3-Clause
//
// What the API must be asked for before a file is read from a datastore: the ESXi host and the
// datastores of a machine, and tickets with which an ESXi host lets us read a file.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/util/mutex.hpp"
#include "plugins/vsphere/api/client.hpp"

namespace vsphere {

// SessionManagerGenericServiceTicket.
struct Ticket {
  std::string id;
  std::string
      thumbprint;  // of the host's certificate, "AA:BB:..."; empty if the server does not say
};

// A session of the server, a cookie, that several users of the server share. Any thread may call these.
class SharedSession {
 public:
  virtual ~SharedSession() = default;
  // Empty: none. Throws util::Error when no other may begin.
  virtual std::string session() const = 0;
  // Puts `session` in place of `old`. Returns false if `old` is not the session any more, or no other may begin.
  virtual bool replace_session(const std::string &old, const std::string &session) = 0;
};

// Any thread may use it; their calls are made one after the other. The calls use the shared session, so
// that there is one session to log out of; a new one that a call has to begin becomes the shared one.
// All of them throw as Client::call does.
class ServiceTickets {
 public:
  // The credentials and the shared session must outlive it.
  ServiceTickets(const Endpoint &endpoint, const Credentials &credentials,
                 const RetryPolicy &policy, SharedSession &shared, const util::Log &log);

  // The name of the ESXi host that a virtual machine (a moref) runs on. Nothing if the server is an
  // ESXi host itself.
  std::optional<std::string> host_of(const std::string &vm);

  // The name of the datastore; if the reference is empty, the names of all datastores that the virtual
  // machine (a moref) uses.
  std::vector<std::string> datastore_names(const std::string &vm, const Ref &datastore);

  enum class Retries { of_policy, of_caller };

  // A ticket for GET requests of that URL of an ESXi host. What the caller retries is not retried here as well.
  Ticket acquire(const std::string &url, Retries retries);

  // Closes the connection, before a fork or the end. Does nothing during a call.
  void disconnect();

 private:
  template <typename Call>
  auto exclusively(unsigned retries, Call &&call);
  void begin_call();
  void end_call();
  void share_session(const std::string &old);

  // Used by the one thread that has set busy_, which has released the mutex.
  Client client_;
  const std::chrono::milliseconds timeout_;
  const unsigned retries_;
  bool joined_ = false;  // client_ has used the shared session before
  SharedSession &shared_;

  util::Mutex mutex_;
  util::Condition idle_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace vsphere
