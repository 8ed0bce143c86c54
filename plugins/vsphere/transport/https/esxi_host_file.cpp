// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/esxi_host_file.hpp"

#include "plugins/vsphere/transport/https/folder_response.hpp"
#include "plugins/vsphere/transport/https/folder_url.hpp"

namespace vsphere {

namespace {

using Retries = ServiceTickets::Retries;

constexpr size_t refusal_limit = 64 << 10;  // bytes of a response that is not the range

bool is_refusal(const HttpResponse &response) {
  return response.status == 401 || response.status == 403;
}

// The path and query on the host. Only vCenter Servers decode twice.
std::string path_on_host(DatastorePath file) {
  file.datacenter.clear();
  file.quoted_twice = false;
  return folder_url(file);
}

}  // namespace

std::string host_url(const std::string &host, const DatastorePath &file) {
  return "https://" + host + path_on_host(file);
}

EsxiHostFile::EsxiHostFile(HttpPool &pool, ServiceTickets &tickets, const DatastorePath &file,
                           const Ticket &ticket, const RetryPolicy &policy, const util::Log &log)
    : pool_(pool),
      tickets_(tickets),
      file_(file),
      url_(host_url(pool.endpoint().host, file)),
      policy_(policy),
      log_(log),
      ticket_(ticket.id) {}

HttpRequest EsxiHostFile::request_for(std::span<std::byte> buffer, uint64_t offset) const {
  HttpRequest request;
  request.path = path_on_host(file_);
  request.offset = offset;
  request.into = buffer;
  request.max_body = refusal_limit;
  return request;
}

uint64_t EsxiHostFile::checked(const HttpResponse &response, const HttpRequest &request) const {
  if (response.status != 206) refuse(response, file_.name(), host());
  check_whole(response, request, file_.name(), host());
  return check_content_range(response.content_range, request.offset, request.into.size(),
                             file_.name());
}

HttpResponse EsxiHostFile::send_with(const std::string &ticket, HttpRequest request) {
  request.headers.push_back("Cookie: vmware_cgi_ticket=" + ticket);
  return HttpPool::Lease(pool_).http().send(request);
}

uint64_t EsxiHostFile::probe(std::span<std::byte> buffer, uint64_t offset) {
  HttpRequest request = request_for(buffer, offset);
  const std::string ticket = ticket_other_than("");
  uint64_t size = checked(send_with(ticket, request), request);
  HttpResponse again = send_with(ticket, request);
  single_use_ = is_refusal(again);
  if (single_use_) again = send_with(tickets_.acquire(url_, Retries::of_policy).id, request);
  checked(again, request);
  return size;
}

void EsxiHostFile::read(std::span<std::byte> buffer, uint64_t offset) {
  HttpRequest request = request_for(buffer, offset);
  checked(
      get_with_retries(policy_, log_, file_, host(), request, [&] { return send_once(request); }),
      request);
}

HttpResponse EsxiHostFile::send_once(const HttpRequest &request) {
  if (single_use_) return send_with(tickets_.acquire(url_, Retries::of_caller).id, request);
  std::string ticket = ticket_other_than("");
  HttpResponse response = send_with(ticket, request);
  if (is_refusal(response)) response = send_with(ticket_other_than(ticket), request);
  return response;
}

// Returns the current ticket, or a new one if the current one is the one that was refused.
std::string EsxiHostFile::ticket_other_than(const std::string &refused) {
  {
    util::MutexLock lock(mutex_);
    if (ticket_ != refused) return ticket_;
  }
  // Several threads may do this; any of the tickets will do.
  Ticket ticket = tickets_.acquire(url_, Retries::of_caller);
  util::MutexLock lock(mutex_);
  return ticket_ = ticket.id;
}

}  // namespace vsphere
