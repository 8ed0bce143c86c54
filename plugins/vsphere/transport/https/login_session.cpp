// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/login_session.hpp"

#include <cerrno>
#include <utility>
#include <vector>

#include "common/util/error.hpp"

namespace vsphere {

namespace {

constexpr unsigned max_refusals = 2;  // of logins in a row; accounts are locked after five

// The value of a Cookie header.
std::string joined(const std::vector<std::string> &cookies) {
  std::string out;
  for (const auto &cookie : cookies) out += (out.empty() ? "" : "; ") + cookie;
  return out;
}

}  // namespace

LoginSession::LoginSession(std::string host, const Credentials &credentials, const util::Log &log)
    : host_(std::move(host)), credentials_(credentials), log_(log) {}

std::string LoginSession::session() const {
  util::MutexLock lock(mutex_);
  check_not_ended();
  return cookie_;
}

std::string LoginSession::end() {
  util::MutexLock lock(mutex_);
  ended_ = true;
  while (logging_in_) logged_in_.wait(lock);  // ends: the login request has a deadline
  return std::exchange(cookie_, "");
}

void LoginSession::check_not_ended() const {
  if (ended_) util::fail(ESHUTDOWN, "nbdkit is ending: the session with {} has ended", host_);
}

bool LoginSession::replace_session(const std::string &old, const std::string &session) {
  util::MutexLock lock(mutex_);
  if (ended_ || cookie_ != old) return false;
  cookie_ = session;
  return true;
}

HttpResponse LoginSession::send(HttpConnection &http, const HttpRequest &request) {
  for (;;) {
    std::string cookie = cookie_or_turn();
    if (cookie.empty()) return log_in(http, request);
    HttpRequest with_cookie = request;
    with_cookie.headers.push_back("Cookie: " + cookie);
    HttpResponse response = http.send(with_cookie);
    if (response.status != 401) return response;
    forget(cookie);
  }
}

// Returns the session. If it is empty the caller has the turn to log in, or the server is
// sessionless.
std::string LoginSession::cookie_or_turn() {
  util::MutexLock lock(mutex_);
  while (logging_in_) logged_in_.wait(lock);  // ends: the login request has a deadline
  check_not_ended();
  if (cookie_.empty() && !sessionless_) logging_in_ = true;
  return cookie_;
}

void LoginSession::forget(const std::string &cookie) {
  {
    util::MutexLock lock(mutex_);
    if (cookie_ != cookie) return;  // another thread has replaced it already
    cookie_.clear();
  }
  log_.info("the session with {} has expired: logging in again", host_);
}

HttpResponse LoginSession::log_in(HttpConnection &http, HttpRequest request) {
  request.basic = &credentials_;
  HttpResponse response;
  try {
    response = http.send(request);
  } catch (...) {
    end_turn(nullptr);
    throw;
  }
  if (end_turn(&response)) {
    throw TransportError(EACCES, host_ + " refuses a login that it accepted before",
                         /*retryable=*/true, /*connected=*/true);
  }
  return response;
}

// Ends the turn to log in; `response` is null if none came. Returns whether the login is worth a
// retry: it was refused although an earlier one was accepted, which may be a passing fault of the
// server. Only few are tried, as refused logins may lock the account.
bool LoginSession::end_turn(const HttpResponse *response) {
  util::MutexLock lock(mutex_);
  logging_in_ = false;
  logged_in_.notify_all();
  if (response == nullptr) return false;
  const bool refused = response->status == 401;
  if (!refused) {
    cookie_ = joined(response->cookies);
    sessionless_ = cookie_.empty() && response->status / 100 == 2;
    accepted_ = true;
  }
  refusals_ = refused ? refusals_ + 1 : 0;
  return refused && accepted_ && refusals_ <= max_refusals;
}

}  // namespace vsphere
