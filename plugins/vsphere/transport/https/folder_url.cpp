// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/folder_url.hpp"

#include <cerrno>
#include <charconv>
#include <string_view>

namespace vsphere {

namespace {

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

}  // namespace

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

bool needs_quoting(const DatastoreFile &file) {
  return quote_name(file.datacenter) != file.datacenter ||
         quote_name(file.datastore) != file.datastore;
}

bool is_passing(long status) {
  return status >= 500 || status == 429 || status == 408;
}

void refuse(const HttpResponse &response, const std::string &name, const std::string &host) {
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

void check_whole(const HttpResponse &response, const HttpRequest &request, const std::string &name,
                 const std::string &host) {
  bool ranged = !request.into.empty() && response.status == 206;
  if (!ranged || response.received == request.into.size()) return;
  throw TransportError(EIO,
                       fmt::format("{} sent {} of {} bytes at offset {} of {}", host,
                                   response.received, request.into.size(), request.offset, name),
                       true, true);
}

}  // namespace vsphere
