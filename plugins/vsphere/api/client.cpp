// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/client.hpp"

#include <cerrno>
#include <utility>

#include "plugins/vsphere/api/fault.hpp"

namespace vsphere {

namespace {

// The oldest version of the API that has all we use: servers answer as that version would.
constexpr const char *soap_action = "SOAPAction: \"urn:vim25/6.7\"";

// A query of a large disk's changes can take minutes.
constexpr std::chrono::seconds call_deadline{300};

constexpr std::string_view session_cookie = "vmware_soap_session=";

}  // namespace

Client::Client(const Endpoint &endpoint, const Credentials &credentials, const RetryPolicy &policy,
               const util::Log &log)
    : endpoint_(endpoint), credentials_(credentials), policy_(policy), log_(log) {}

void Client::login() {
  retrieve_content();
  authenticate();
}

void Client::join(const std::string &session) {
  retrieve_content();
  cookie_ = session;
  if (session.empty()) authenticate();
}

void Client::retrieve_content() {
  soap::Reply reply = call("RetrieveServiceContent", {"ServiceInstance", "ServiceInstance"}, "");
  pugi::xml_node content = soap::child(reply.response(), "returnval");
  pugi::xml_node about = soap::child(content, "about");
  auto ref = [&](const char *name) { return soap::ref(soap::child(content, name)); };
  content_ = {ref("rootFolder"),           ref("propertyCollector"),
              ref("sessionManager"),       ref("searchIndex"),
              ref("viewManager"),          soap::text(about, "instanceUuid"),
              soap::text(about, "apiType")};
  if (content_.session_manager.empty() || content_.property_collector.empty()) {
    util::fail(EPROTO, "{} is no vCenter Server and no ESXi host: check server=", endpoint_.host);
  }
}

void Client::authenticate() {
  cookie_.clear();
  Secret password(soap::element("password", credentials_.password.get()));
  Secret arguments(soap::element("userName", credentials_.user) + password.get());
  with_retries(policy_, log_, "login to " + endpoint_.host,
               [&] { return post("Login", content_.session_manager, arguments.get()); });
}

void Client::logout(const std::string &other_session) {
  for (const std::string &session : {std::exchange(cookie_, ""), other_session}) {
    if (session.empty()) continue;
    cookie_ = session;
    try {
      post("Logout", content_.session_manager, "");
    } catch (const FaultError &e) {
      if (e.meaning() != Meaning::session_expired) throw;
    }
    cookie_.clear();
  }
}

soap::Reply Client::post(std::string_view method, const Ref &self, std::string_view arguments) {
  if (!http_) http_.emplace(endpoint_);
  Secret body(soap::envelope(method, self, arguments));
  HttpRequest request;
  request.path = "/sdk";
  request.headers = {"Content-Type: text/xml; charset=utf-8", soap_action, "Expect:"};
  if (!cookie_.empty()) request.headers.push_back("Cookie: " + cookie_);
  request.post = body.get();
  request.timeout = call_deadline;

  std::string what = fmt::format("{} at {}", method, endpoint_.host);
  HttpResponse response;
  try {
    response = http_->send(request);
  } catch (const TransportError &e) {
    // A server that has never been reached is more likely a wrong one than one that will come back.
    bool retryable = e.retryable() && (e.connected() || reached_);
    throw TransportError(e.errnum(), e.what(), retryable, e.connected());
  }
  reached_ = true;
  for (const auto &cookie : response.cookies) {
    if (cookie.starts_with(session_cookie)) cookie_ = cookie;
  }
  // A fault comes with status 500; 502 to 504 come from what stands before the server.
  if (response.status > 500) {
    throw TransportError(EIO, fmt::format("{}: HTTP status {}", what, response.status), true, true);
  }
  return soap::Reply(response.status, response.body, what);
}

soap::Reply Client::call(std::string_view method, const Ref &self, std::string_view arguments,
                         Repeat repeat) {
  RetryPolicy policy = policy_;
  if (repeat == Repeat::once) policy.retries = 0;
  auto attempt = [&] {
    return with_retries(policy, log_, std::string(method),
                        [&] { return post(method, self, arguments); });
  };
  try {
    return attempt();
  } catch (const FaultError &e) {
    if (e.meaning() != Meaning::session_expired) throw;
  }
  log_.info("the session with {} has expired: logging in again", endpoint_.host);
  authenticate();
  return attempt();
}

Ref Client::find_by_inventory_path(const std::string &path) {
  soap::Reply reply =
      call("FindByInventoryPath", content_.search_index, soap::element("inventoryPath", path));
  return soap::ref(soap::child(reply.response(), "returnval"));
}

Ref Client::find_by_uuid(const std::string &uuid) {
  for (bool instance : {true, false}) {
    soap::Reply reply = call("FindByUuid", content_.search_index,
                             soap::element("uuid", uuid) + soap::element("vmSearch", true) +
                                 soap::element("instanceUuid", instance));
    Ref found = soap::ref(soap::child(reply.response(), "returnval"));
    if (!found.empty()) return found;
  }
  return {};
}

Ticket Client::acquire_ticket(const std::string &url) {
  soap::Reply reply = call("AcquireGenericServiceTicket", content_.session_manager,
                           "<spec xsi:type=\"SessionManagerHttpServiceRequestSpec\">" +
                               soap::element("method", std::string_view("httpGet")) +
                               soap::element("url", url) + "</spec>");
  pugi::xml_node ticket = soap::child(reply.response(), "returnval");
  Ticket result{soap::text(ticket, "id"), soap::text(ticket, "sslThumbprint")};
  // It goes into a header.
  if (result.id.empty() || result.id.find_first_of(" ;,\r\n\t\"") != std::string::npos) {
    util::fail(EPROTO, "{} gives a ticket that is none", endpoint_.host);
  }
  return result;
}

AreaPage Client::query_changed_disk_areas(const Ref &vm, const Ref &snapshot, int64_t device_key,
                                          uint64_t start, const std::string &change_id) {
  soap::Reply reply = call("QueryChangedDiskAreas", vm,
                           soap::element("snapshot", snapshot) +
                               soap::element("deviceKey", std::to_string(device_key)) +
                               soap::element("startOffset", std::to_string(start)) +
                               soap::element("changeId", change_id));
  return parse_area_page(soap::child(reply.response(), "returnval"));
}

}  // namespace vsphere
