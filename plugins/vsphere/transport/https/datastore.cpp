// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/datastore.hpp"

#include <cerrno>
#include <utility>

#include "plugins/vsphere/transport/https/folder_response.hpp"
#include "plugins/vsphere/transport/https/folder_url.hpp"

namespace vsphere {

namespace {

constexpr size_t text_limit = 64 << 10;  // bytes; a descriptor has less than 2 KiB

}  // namespace

Datastore::Datastore(const Endpoint &endpoint, const Credentials &credentials,
                     const RetryPolicy &policy, unsigned connections, const util::Log &log)
    : policy_(policy),
      log_(log),
      pool_(endpoint, connections, log),
      login_(endpoint.host, credentials, log) {}

HttpResponse Datastore::get(const DatastorePath &file, HttpRequest request) {
  request.path = folder_url(file);
  return get_with_retries(policy_, log_, file, pool_.endpoint().host, request, [&] {
    HttpPool::Lease lease(pool_);
    return login_.send(lease.http(), request);
  });
}

std::string Datastore::read_text(DatastorePath &file) {
  HttpRequest request;
  request.max_body = text_limit;
  HttpResponse response = get(file, request);
  if (response.status == 404 && needs_quoting(file)) {
    DatastorePath other = file;
    other.quoted_twice = true;
    HttpResponse second = get(other, request);
    if (second.status == 200) {
      file.quoted_twice = true;
      response = std::move(second);
    }
  }
  if (response.status != 200) refuse(response, file.name(), pool_.endpoint().host);
  if (response.cut) {
    util::fail(EINVAL, "{} is not a VMDK descriptor: it has more than {} bytes", file.name(),
               text_limit);
  }
  return std::move(response.body);
}

uint64_t Datastore::read(const DatastorePath &file, std::span<std::byte> buffer, uint64_t offset) {
  HttpRequest request;
  request.offset = offset;
  request.into = buffer;
  request.max_body = text_limit;
  HttpResponse response = get(file, request);
  if (response.status != 206) refuse(response, file.name(), pool_.endpoint().host);
  return check_content_range(response.content_range, offset, buffer.size(), file.name());
}

}  // namespace vsphere
