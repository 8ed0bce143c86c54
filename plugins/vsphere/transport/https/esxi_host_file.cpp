// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/esxi_host_file.hpp"

#include <cerrno>

namespace vsphere {

namespace {

constexpr size_t refusal_limit = 64 << 10;  // bytes of an answer that is not the range

bool is_refusal(const HttpResponse &response) {
  return response.status == 401 || response.status == 403;
}

// The path and query of what a host has.
std::string path_on_host(DatastoreFile file) {
  file.datacenter.clear();
  file.quoted_twice = false;  // that is a vCenter Server's
  return folder_url(file);
}

}  // namespace

std::string host_url(const std::string &host, const DatastoreFile &file) {
  return "https://" + host + path_on_host(file);
}

HostFile::HostFile(HttpPool &pool, TicketOffice &office, const DatastoreFile &file,
                   const Ticket &ticket, const RetryPolicy &policy, const util::Log &log)
    : pool_(pool),
      office_(office),
      file_(file),
      url_(host_url(pool.endpoint().host, file)),
      policy_(policy),
      log_(log),
      ticket_(ticket.id) {}

HttpRequest HostFile::request_for(std::span<std::byte> buffer, uint64_t offset) const {
  HttpRequest request;
  request.path = path_on_host(file_);
  request.offset = offset;
  request.into = buffer;
  request.max_body = refusal_limit;
  return request;
}

uint64_t HostFile::checked(const HttpResponse &response, const HttpRequest &request) const {
  if (response.status != 206) refuse(response, file_.name(), host());
  check_whole(response, request, file_.name(), host());
  return check_content_range(response.content_range, request.offset, request.into.size(),
                             file_.name());
}

HttpResponse HostFile::send_with(const std::string &ticket, HttpRequest request) {
  request.headers.push_back("Cookie: vmware_cgi_ticket=" + ticket);
  return HttpPool::Lease(pool_).http().send(request);
}

uint64_t HostFile::probe(std::span<std::byte> buffer, uint64_t offset) {
  HttpRequest request = request_for(buffer, offset);
  uint64_t size = checked(send_with(ticket_, request), request);
  HttpResponse again = send_with(ticket_, request);
  one_each_ = is_refusal(again);
  if (one_each_) again = send_with(office_.acquire(url_).id, request);
  checked(again, request);
  return size;
}

void HostFile::read(std::span<std::byte> buffer, uint64_t offset) {
  HttpRequest request = request_for(buffer, offset);
  checked(
      get_with_retries(policy_, log_, file_, host(), request, [&] { return send_once(request); }),
      request);
}

HttpResponse HostFile::send_once(const HttpRequest &request) {
  if (one_each_) return send_with(office_.acquire(url_).id, request);
  std::string ticket = ticket_other_than("");
  HttpResponse response = send_with(ticket, request);
  if (is_refusal(response)) response = send_with(ticket_other_than(ticket), request);
  return response;
}

// The one in use, or a new one if that is the one refused.
std::string HostFile::ticket_other_than(const std::string &refused) {
  {
    std::lock_guard lock(mutex_);
    if (ticket_ != refused) return ticket_;
  }
  Ticket ticket = office_.acquire(url_);  // others may do so as well: any of them will do
  std::lock_guard lock(mutex_);
  return ticket_ = ticket.id;
}

}  // namespace vsphere
