// SPDX-License-Identifier: BSD-3-Clause
//
// The session that a server begins when a request carries user and password (Basic authentication).
// The requests that follow carry the session's cookie.
#pragma once

#include <string>

#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "plugins/vsphere/api/service_tickets.hpp"
#include "plugins/vsphere/http/connection.hpp"

namespace vsphere {

// May be used from any thread. One thread logs in at a time; the others wait for its session. The
// mutex is never held while data moves.
class LoginSession : public SharedSession {
 public:
  // `host` is for messages. The credentials must outlive the session.
  LoginSession(std::string host, const Credentials &credentials, const util::Log &log);

  // Sends a request with the cookie of the session. Logs in first if there is no session, or again
  // if it has expired. The response may have any status. Throws TransportError.
  HttpResponse send(HttpConnection &http, const HttpRequest &request);

  std::string session() const override ABSL_LOCKS_EXCLUDED(mutex_);

  // From now on no session begins, so that none is left behind by a read that is under way while nbdkit ends: send()
  // throws instead. Waits for a login that is under way. Returns the session, to log out of; empty if there is none.
  std::string end() ABSL_LOCKS_EXCLUDED(mutex_);

  bool replace_session(const std::string &old, const std::string &session) override
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::string cookie_or_turn() ABSL_LOCKS_EXCLUDED(mutex_);
  void check_not_ended() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void forget(const std::string &cookie) ABSL_LOCKS_EXCLUDED(mutex_);
  HttpResponse log_in(HttpConnection &http, HttpRequest request);
  bool end_turn(const HttpResponse *response) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string host_;
  const Credentials &credentials_;
  const util::Log log_;

  mutable util::Mutex mutex_;
  util::Condition logged_in_;
  bool logging_in_ ABSL_GUARDED_BY(mutex_) = false;  // a thread has the turn
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  // The server begins no session: every request carries user and password.
  bool sessionless_ ABSL_GUARDED_BY(mutex_) = false;
  std::string cookie_ ABSL_GUARDED_BY(mutex_);     // empty: no session
  bool accepted_ ABSL_GUARDED_BY(mutex_) = false;  // a login has succeeded before
  unsigned refusals_ ABSL_GUARDED_BY(mutex_) = 0;  // logins refused in a row
};

}  // namespace vsphere
