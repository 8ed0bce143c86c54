// SPDX-License-Identifier: BSD-3-Clause
//
// What a server's response to a request for a file under /folder means.
#pragma once

#include <cstdint>
#include <string>

#include "common/util/log.hpp"
#include "plugins/vsphere/http/connection.hpp"
#include "plugins/vsphere/http/retry.hpp"
#include "plugins/vsphere/transport/https/datastore_path.hpp"

namespace vsphere {

// Checks a Content-Range header, "bytes 0-511/1024", against the range [offset, offset + length)
// that was requested. Returns the size of the file. Throws util::Error EIO.
uint64_t check_content_range(const std::string &text, uint64_t offset, uint64_t length,
                             const std::string &name);

// Whether a retry may bring another status.
bool is_temporary_status(long status);

// Throws a status that is not the wanted one: TransportError if it is temporary, else util::Error.
[[noreturn]] void refuse(const HttpResponse &response, const std::string &name,
                         const std::string &host);

// Throws TransportError if the response has less than the requested range.
void check_whole(const HttpResponse &response, const HttpRequest &request, const std::string &name,
                 const std::string &host);

// Returns the response of send(). Retries, as the policy says, temporary statuses and responses
// that end early.
template <typename Send>
HttpResponse get_with_retries(const RetryPolicy &policy, const util::Log &log,
                              const DatastorePath &file, const std::string &host,
                              const HttpRequest &request, Send &&send) {
  return with_retries(policy, log, "reading " + file.name(), [&] {
    HttpResponse response = send();
    if (is_temporary_status(response.status)) refuse(response, file.name(), host);
    check_whole(response, request, file.name(), host);
    return response;
  });
}

}  // namespace vsphere
