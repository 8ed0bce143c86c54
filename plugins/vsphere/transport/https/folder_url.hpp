// SPDX-License-Identifier: BSD-3-Clause
//
// Files of datastores as vCenter Servers and ESXi hosts serve them: GET
// /folder/PATH?dcPath=DATACENTER&dsName=DATASTORE.
#pragma once

#include <cstdint>
#include <string>

#include "common/util/log.hpp"
#include "plugins/vsphere/http/connection.hpp"
#include "plugins/vsphere/http/retry.hpp"
#include "plugins/vsphere/transport/https/datastore_path.hpp"

namespace vsphere {

// The path and query to ask for.
std::string folder_url(const DatastoreFile &file);

// "bytes 0-511/1024", which must be the answer to a request for [offset, offset + length); returns
// the size of the file. Throws util::Error EIO.
uint64_t check_content_range(const std::string &text, uint64_t offset, uint64_t length,
                             const std::string &name);

// Whether a slash, a space or the like in its names could be decoded once or twice.
bool needs_quoting(const DatastoreFile &file);

// A status that may be another one the next time.
bool is_passing(long status);

// What is not the wanted answer, as an exception: util::Error, or TransportError if it is passing.
[[noreturn]] void refuse(const HttpResponse &response, const std::string &name,
                         const std::string &host);

// Throws TransportError if the answer has less than the range that was asked for.
void check_whole(const HttpResponse &response, const HttpRequest &request, const std::string &name,
                 const std::string &host);

// Runs send() until its answer is not a passing one, nor one that ended early, as the policy says.
template <typename Send>
HttpResponse get_with_retries(const RetryPolicy &policy, const util::Log &log,
                              const DatastoreFile &file, const std::string &host,
                              const HttpRequest &request, Send &&send) {
  return with_retries(policy, log, "reading " + file.name(), [&] {
    HttpResponse response = send();
    if (is_passing(response.status)) refuse(response, file.name(), host);
    check_whole(response, request, file.name(), host);
    return response;
  });
}

}  // namespace vsphere
