// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/client.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "plugins/vsphere/fault.hpp"

namespace vsphere {

namespace {

// The oldest version of the API that has all we use: servers answer as that version would.
constexpr const char *soap_action = "SOAPAction: \"urn:vim25/6.7\"";

// A query of a large disk's changes can take minutes.
constexpr std::chrono::seconds call_deadline{300};
// Quiescing waits for the guest.
constexpr std::chrono::seconds create_deadline{900};
// Consolidation copies back what was written meanwhile; it goes on without us.
constexpr std::chrono::seconds remove_deadline{600};
constexpr std::chrono::seconds reconfigure_deadline{300};

constexpr std::string_view session_cookie = "vmware_soap_session=";

}  // namespace

pugi::xml_node ObjectContent::property(const std::string &path) const {
  auto it = properties.find(path);
  return it == properties.end() ? pugi::xml_node() : it->second;
}

std::string ObjectContent::text(const std::string &path) const {
  return property(path).text().get();
}

Client::Client(const Endpoint &endpoint, const Credentials &credentials, const RetryPolicy &policy,
               const util::Log &log)
    : endpoint_(endpoint), credentials_(credentials), policy_(policy), log_(log) {}

void Client::login() {
  soap::Reply reply = call("RetrieveServiceContent", {"ServiceInstance", "ServiceInstance"}, "");
  pugi::xml_node content = soap::child(reply.response(), "returnval");
  auto ref = [&](const char *name) { return soap::ref(soap::child(content, name)); };
  content_ = {ref("rootFolder"),     ref("propertyCollector"),
              ref("sessionManager"), ref("searchIndex"),
              ref("viewManager"),    soap::text(soap::child(content, "about"), "instanceUuid")};
  if (content_.session_manager.empty() || content_.property_collector.empty()) {
    util::fail(EPROTO, "{} is no vCenter Server and no ESXi host: check server=", endpoint_.host);
  }
  authenticate();
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

Contents Client::retrieve(const std::string &spec_set) {
  // What the session may not see is not a fault but a missingSet, also when it has expired.
  auto check_missing = [&](pugi::xml_node object) {
    for (pugi::xml_node missing : soap::children(object, "missingSet")) {
      Fault fault = parse_method_fault(soap::child(missing, "fault"));
      throw explain(fault, fmt::format("reading {} of {}", soap::text(missing, "path"),
                                       soap::text(object, "obj")));
    }
  };
  auto collect = [&](Contents &contents) {
    std::string token;
    do {
      contents.replies.push_back(
          token.empty()
              ? call("RetrievePropertiesEx", content_.property_collector, spec_set + "<options/>")
              : call("ContinueRetrievePropertiesEx", content_.property_collector,
                     soap::element("token", token)));
      pugi::xml_node result = soap::child(contents.replies.back().response(), "returnval");
      for (pugi::xml_node object : soap::children(result, "objects")) {
        check_missing(object);
        ObjectContent content{soap::ref(soap::child(object, "obj")), {}};
        for (pugi::xml_node property : soap::children(object, "propSet")) {
          content.properties[soap::text(property, "name")] = soap::child(property, "val");
        }
        contents.objects.push_back(std::move(content));
      }
      token = soap::text(result, "token");
    } while (!token.empty());
  };
  try {
    Contents contents;
    collect(contents);
    return contents;
  } catch (const FaultError &e) {
    if (e.meaning() != Meaning::session_expired) throw;
  }
  authenticate();
  Contents contents;
  collect(contents);
  return contents;
}

ObjectContent Client::properties(const Ref &object, const std::vector<std::string> &paths,
                                 Contents &keep) {
  std::string property_set = soap::element("type", object.type);
  for (const auto &path : paths) property_set += soap::element("pathSet", path);
  keep = retrieve(fmt::format("<specSet><propSet>{}</propSet><objectSet>{}</objectSet></specSet>",
                              property_set, soap::element("obj", object)));
  if (keep.objects.empty()) util::fail(EPROTO, "the server tells nothing about {}", object.value);
  return keep.objects.front();
}

Contents Client::virtual_machines() {
  soap::Reply reply = call("CreateContainerView", content_.view_manager,
                           soap::element("container", content_.root_folder) +
                               soap::element("type", std::string_view("VirtualMachine")) +
                               soap::element("recursive", true));
  Ref view = soap::ref(soap::child(reply.response(), "returnval"));
  Contents contents = retrieve(
      fmt::format("<specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet>"
                  "<objectSet>{}<skip>true</skip><selectSet "
                  "xsi:type=\"TraversalSpec\"><type>ContainerView</type>"
                  "<path>view</path><skip>false</skip></selectSet></objectSet></specSet>",
                  soap::element("obj", view)));
  call("DestroyView", view, "");
  return contents;
}

void Client::enable_change_tracking(const Ref &vm) {
  soap::Reply reply =
      call("ReconfigVM_Task", vm,
           "<spec>" + soap::element("changeTrackingEnabled", true) + "</spec>", Repeat::once);
  wait_for(soap::ref(soap::child(reply.response(), "returnval")),
           "turning change tracking on for " + vm.value, reconfigure_deadline);
}

Ref Client::create_snapshot(const Ref &vm, const std::string &name, const std::string &description,
                            bool quiesce) {
  soap::Reply reply = call("CreateSnapshot_Task", vm,
                           soap::element("name", name) + soap::element("description", description) +
                               soap::element("memory", false) + soap::element("quiesce", quiesce),
                           Repeat::once);
  return wait_for(soap::ref(soap::child(reply.response(), "returnval")),
                  "creating a snapshot of " + vm.value, create_deadline);
}

void Client::remove_snapshot(const Ref &snapshot) {
  soap::Reply reply =
      call("RemoveSnapshot_Task", snapshot,
           soap::element("removeChildren", false) + soap::element("consolidate", true));
  wait_for(soap::ref(soap::child(reply.response(), "returnval")),
           "removing snapshot " + snapshot.value, remove_deadline);
}

Ref Client::wait_for(const Ref &task, const std::string &what, std::chrono::seconds deadline) {
  using clock = std::chrono::steady_clock;
  auto end = clock::now() + deadline;
  std::chrono::milliseconds pause{20};
  for (;;) {
    Contents keep;
    ObjectContent info = properties(task, {"info.state", "info.error", "info.result"}, keep);
    std::string state = info.text("info.state");
    if (state == "success") return soap::ref(info.property("info.result"));
    if (state == "error") throw explain(parse_method_fault(info.property("info.error")), what);
    if (clock::now() > end) {
      util::fail(ETIMEDOUT,
                 "{}: the task {} has not ended after {} seconds; vSphere goes on with it", what,
                 task.value, deadline.count());
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds{2000});
  }
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
