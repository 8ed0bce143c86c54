// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/datastore.hpp"

#include <cerrno>
#include <utility>
#include <vector>

namespace vsphere {

namespace {

constexpr size_t text_limit = 64 << 10;  // bytes; a descriptor has less than 2 KiB
constexpr unsigned max_refusals = 2;     // of logins, one after the other; accounts lock at five

// The value of a Cookie header.
std::string joined(const std::vector<std::string> &cookies) {
  std::string out;
  for (const auto &cookie : cookies) out += (out.empty() ? "" : "; ") + cookie;
  return out;
}

}  // namespace

Datastore::Datastore(const Endpoint &endpoint, const Credentials &credentials,
                     const RetryPolicy &policy, unsigned connections, const util::Log &log)
    : credentials_(credentials), policy_(policy), log_(log), pool_(endpoint, connections) {}

std::string Datastore::session() const {
  std::lock_guard lock(mutex_);
  return cookie_;
}

bool Datastore::replace_session(const std::string &old, const std::string &cookie) {
  std::lock_guard lock(mutex_);
  if (cookie_ != old) return false;
  cookie_ = cookie;
  return true;
}

// The session; or, if it is empty, it is the caller's turn to log in.
std::string Datastore::session_or_turn() {
  std::unique_lock lock(mutex_);
  // Ends: the request of the one that logs in has a deadline.
  logged_in_.wait(lock, [&] { return !logging_in_; });
  if (cookie_.empty() && !sessionless_) logging_in_ = true;
  return cookie_;
}

void Datastore::forget(const std::string &cookie) {
  std::lock_guard lock(mutex_);
  if (cookie_ != cookie) return;  // another thread has a new one already
  cookie_.clear();
  log_.info("the session with {} has expired: logging in again", pool_.endpoint().host);
}

// The first request brings name and password; the server answers with a session, and the others
// bring that. A session that is refused has expired: name and password once more.
HttpResponse Datastore::send_once(const HttpRequest &request) {
  HttpPool::Lease lease(pool_);
  for (;;) {
    std::string cookie = session_or_turn();
    if (cookie.empty()) return log_in(lease.http(), request);
    HttpRequest with_cookie = request;
    with_cookie.headers.push_back("Cookie: " + cookie);
    HttpResponse response = lease.http().send(with_cookie);
    if (response.status != 401) return response;
    forget(cookie);
  }
}

// If name and password are refused now, and were accepted before, then it is the server's passing
// trouble, or the password was changed: a retry tells, but not many, for they may lock the account.
HttpResponse Datastore::log_in(HttpConnection &http, HttpRequest request) {
  request.basic = &credentials_;
  auto end_turn = [this](const HttpResponse *response) {
    std::lock_guard lock(mutex_);
    logging_in_ = false;
    logged_in_.notify_all();
    if (response == nullptr) return false;
    bool refused = response->status == 401;
    if (!refused) {
      cookie_ = joined(response->cookies);
      sessionless_ = cookie_.empty() && response->status / 100 == 2;
      let_in_ = true;
    }
    refusals_ = refused ? refusals_ + 1 : 0;
    return refused && let_in_ && refusals_ <= max_refusals;
  };
  HttpResponse response;
  try {
    response = http.send(request);
  } catch (...) {
    end_turn(nullptr);
    throw;
  }
  if (end_turn(&response)) {
    throw TransportError(EACCES, pool_.endpoint().host + " refuses a login that it accepted before",
                         true, true);
  }
  return response;
}

HttpResponse Datastore::get(const DatastoreFile &file, HttpRequest request) {
  request.path = folder_url(file);
  return get_with_retries(policy_, log_, file, pool_.endpoint().host, request,
                          [&] { return send_once(request); });
}

std::string Datastore::read_text(DatastoreFile &file) {
  HttpRequest request;
  request.max_body = text_limit;
  HttpResponse response = get(file, request);
  if (response.status == 404 && needs_quoting(file)) {
    DatastoreFile other = file;
    other.quoted_twice = true;
    HttpResponse second = get(other, request);
    if (second.status == 200) {
      file.quoted_twice = true;
      response = std::move(second);
    }
  }
  if (response.status != 200) refuse(response, file.name(), pool_.endpoint().host);
  if (response.cut) {
    util::fail(EINVAL, "{} is no VMDK descriptor: it has more than {} bytes", file.name(),
               text_limit);
  }
  return std::move(response.body);
}

uint64_t Datastore::read(const DatastoreFile &file, std::span<std::byte> buffer, uint64_t offset) {
  HttpRequest request;
  request.offset = offset;
  request.into = buffer;
  request.max_body = text_limit;
  HttpResponse response = get(file, request);
  if (response.status != 206) refuse(response, file.name(), pool_.endpoint().host);
  return check_content_range(response.content_range, offset, buffer.size(), file.name());
}

}  // namespace vsphere
