// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/datastore.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

namespace vsphere {

namespace {

constexpr size_t text_limit = 64 << 10;  // bytes; a descriptor has less than 2 KiB
constexpr unsigned max_refusals = 2;     // of logins, one after the other; accounts lock at five

// RFC 3986: everything but the unreserved characters.
std::string quote(std::string_view text, std::string_view keep = "") {
  constexpr std::string_view unreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (char c : text) {
    if (unreserved.find(c) != std::string_view::npos || keep.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

// In a query a slash may stand as it is, so that it survives being decoded once or twice.
std::string quote_name(std::string_view name) {
  return quote(name, "/");
}

bool needs_quoting(const DatastoreFile &file) {
  return quote_name(file.datacenter) != file.datacenter ||
         quote_name(file.datastore) != file.datastore;
}

// The value of a Cookie header.
std::string joined(const std::vector<std::string> &cookies) {
  std::string out;
  for (const auto &cookie : cookies) out += (out.empty() ? "" : "; ") + cookie;
  return out;
}

bool is_passing(long status) {
  return status >= 500 || status == 429 || status == 408;
}

// What is not the wanted answer, as an exception.
[[noreturn]] void refuse(const HttpResponse &response, const std::string &name,
                         const std::string &host) {
  switch (response.status) {
    case 401:
      util::fail(EACCES, "{} refuses the user name or the password for {}", host, name);
    case 403:
      util::fail(EACCES,
                 "{} does not let this user read {}: it needs Datastore.Browse and "
                 "Datastore.FileManagement",
                 host, name);
    case 404:
      util::fail(ENOENT, "{} has no file {}", host, name);
    case 200:
      util::fail(EIO, "{} ignores Range requests for {}: it cannot be read piece by piece", host,
                 name);
    default:
      break;
  }
  std::string text = fmt::format("{} answers HTTP status {} for {}", host, response.status, name);
  if (is_passing(response.status))
    throw TransportError(EIO, text, /*retryable=*/true, /*connected=*/true);
  throw util::Error(EIO, text);
}

}  // namespace

DatastoreFile DatastoreFile::sibling(const std::string &file) const {
  DatastoreFile other = *this;
  auto slash = path.rfind('/');
  other.path = slash == std::string::npos ? file : path.substr(0, slash + 1) + file;
  return other;
}

DatastoreFile parse_datastore_path(const std::string &text, const std::string &datacenter) {
  auto close = text.find("] ");
  if (!text.starts_with('[') || close == std::string::npos || close + 2 == text.size()) {
    util::fail(EPROTO, "the server names a disk's file \"{}\", which is no datastore path", text);
  }
  return {datacenter, text.substr(1, close - 1), text.substr(close + 2)};
}

std::string folder_url(const DatastoreFile &file) {
  auto quoted = [&](const std::string &name) {
    return file.quoted_twice ? quote_name(quote_name(name)) : quote_name(name);
  };
  std::string query = "dsName=" + quoted(file.datastore);
  if (!file.datacenter.empty()) query = "dcPath=" + quoted(file.datacenter) + "&" + query;
  return "/folder/" + quote(file.path, "/") + "?" + query;
}

uint64_t check_content_range(const std::string &text, uint64_t offset, uint64_t length,
                             const std::string &name) {
  std::string prefix = fmt::format("bytes {}-{}/", offset, offset + length - 1);
  uint64_t size = 0;
  if (text.starts_with(prefix)) {
    const char *begin = text.data() + prefix.size();
    const char *end = text.data() + text.size();
    auto [stop, error] = std::from_chars(begin, end, size);
    if (error == std::errc() && stop == end && size >= offset + length) return size;
  }
  util::fail(EIO, "asked for {} bytes at offset {} of {}, got \"{}\"", length, offset, name, text);
}

// One connection, taken from the pool for one request. It is given back also after a failure:
// libcurl itself has closed what is broken by then.
class Datastore::Lease {
 public:
  explicit Lease(Datastore &pool) : pool_(pool) {
    std::unique_lock lock(pool_.mutex_);
    // Ends: every request in progress has a deadline.
    pool_.freed_.wait(lock, [&] { return pool_.in_use_ < pool_.connections_; });
    ++pool_.in_use_;
    if (!pool_.idle_.empty()) {
      http_ = std::move(pool_.idle_.back());
      pool_.idle_.pop_back();
    }
  }
  ~Lease() {
    std::lock_guard lock(pool_.mutex_);
    --pool_.in_use_;
    if (http_) pool_.idle_.push_back(std::move(http_));  // has room: reserved by the pool
    pool_.freed_.notify_one();
  }
  Lease(const Lease &) = delete;
  Lease &operator=(const Lease &) = delete;

  Http &http() {
    if (!http_) http_ = std::make_unique<Http>(pool_.endpoint_);
    return *http_;
  }

 private:
  Datastore &pool_;
  std::unique_ptr<Http> http_;
};

Datastore::Datastore(const Endpoint &endpoint, const Credentials &credentials,
                     const RetryPolicy &policy, unsigned connections, const util::Log &log)
    : endpoint_(endpoint),
      credentials_(credentials),
      policy_(policy),
      connections_(connections),
      log_(log) {
  idle_.reserve(connections);
}

void Datastore::disconnect() {
  std::lock_guard lock(mutex_);
  idle_.clear();
}

std::string Datastore::session() const {
  std::lock_guard lock(mutex_);
  return cookie_;
}

// The first request brings name and password; the server answers with a session, and the others
// bring that. A session that is refused has expired: name and password once more. If these are
// refused now, and were accepted before, then it is the server's passing trouble, or the password
// was changed: a retry tells, but not many, for they may lock the account.
HttpResponse Datastore::send_once(HttpRequest request) {
  Lease lease(*this);
  std::string cookie = session();
  for (std::string tried; !cookie.empty() && cookie != tried;) {
    HttpRequest with_cookie = request;
    with_cookie.headers.push_back("Cookie: " + cookie);
    HttpResponse response = lease.http().send(with_cookie);
    if (response.status != 401) return response;
    tried = std::exchange(cookie, session());  // another thread may have a new one already
    if (cookie == tried) {
      log_.info("the session with {} has expired: logging in again", endpoint_.host);
    }
  }
  request.basic = &credentials_;
  HttpResponse response = lease.http().send(request);
  bool refused = response.status == 401;
  std::lock_guard lock(mutex_);
  if (cookie_ == cookie) cookie_ = refused ? "" : joined(response.cookies);
  refusals_ = refused ? refusals_ + 1 : 0;
  if (!refused) let_in_ = true;
  if (refused && let_in_ && refusals_ <= max_refusals) {
    throw TransportError(EACCES, endpoint_.host + " refuses a login that it accepted before", true,
                         true);
  }
  return response;
}

HttpResponse Datastore::get(const DatastoreFile &file, HttpRequest request) {
  request.path = folder_url(file);
  return with_retries(policy_, log_, "reading " + file.name(), [&] {
    HttpResponse response = send_once(request);
    if (is_passing(response.status)) refuse(response, file.name(), endpoint_.host);
    bool ranged = !request.into.empty() && response.status == 206;
    if (ranged && response.received < request.into.size()) {
      throw TransportError(
          EIO,
          fmt::format("{} sent {} of {} bytes at offset {} of {}", endpoint_.host,
                      response.received, request.into.size(), request.offset, file.name()),
          true, true);
    }
    return response;
  });
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
  if (response.status != 200) refuse(response, file.name(), endpoint_.host);
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
  if (response.status != 206) refuse(response, file.name(), endpoint_.host);
  return check_content_range(response.content_range, offset, buffer.size(), file.name());
}

}  // namespace vsphere
