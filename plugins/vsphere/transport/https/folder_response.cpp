// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/folder_response.hpp"

#include <cerrno>
#include <charconv>

namespace vsphere {

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
  util::fail(EIO, "requested {} bytes at offset {} of {}, but the server sent \"{}\"", length,
             offset, name, text);
}

bool is_temporary_status(long status) {
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
      util::fail(EIO, "{} ignores Range requests for {}: the file cannot be read in parts", host,
                 name);
    default:
      break;
  }
  std::string text = fmt::format("{} answers HTTP status {} for {}", host, response.status, name);
  if (is_temporary_status(response.status)) {
    throw TransportError(EIO, text, /*retryable=*/true, /*connected=*/true);
  }
  throw util::Error(EIO, text);
}

void check_whole(const HttpResponse &response, const HttpRequest &request, const std::string &name,
                 const std::string &host) {
  bool ranged = !request.into.empty() && response.status == 206;
  if (!ranged || response.received == request.into.size()) return;
  throw TransportError(EIO,
                       fmt::format("{} sent {} of {} bytes at offset {} of {}", host,
                                   response.received, request.into.size(), request.offset, name),
                       /*retryable=*/true, /*connected=*/true);
}

}  // namespace vsphere
