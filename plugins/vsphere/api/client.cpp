// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/client.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <utility>

namespace vsphere {

namespace {

// The oldest version of the API that has everything this plugin uses. Newer servers answer as that
// version does.
constexpr const char *soap_action = "SOAPAction: \"urn:vim25/6.7\"";

constexpr std::chrono::seconds call_deadline{300};

constexpr std::string_view session_cookie = "vmware_soap_session=";

}  // namespace

Client::Client(const Endpoint &endpoint, const Credentials &credentials, const RetryPolicy &policy,
               const util::Log &log)
    : endpoint_(endpoint),
      credentials_(credentials),
      given_policy_(policy),
      policy_(policy),
      deadline_(call_deadline),
      log_(log) {
  policy_.sleep = [this](std::chrono::milliseconds time) { pause(time); };
}

void Client::set_limits(std::chrono::milliseconds deadline, unsigned retries) {
  deadline_ = deadline;
  policy_.retries = std::min(given_policy_.retries, retries);
  policy_.reconnect_for = {};  // who sets limits tries again itself, or must end soon
}

void Client::login() {
  retrieve_content();
  authenticate();
}

void Client::join(const std::string &session) {
  retrieve_content();
  session_ = session;
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
    util::fail(EPROTO,
               "{} is neither a vCenter Server nor an ESXi host: check server=", endpoint_.host);
  }
}

void Client::authenticate() {
  session_.clear();
  Secret password(soap::element("password", credentials_.password.get()));
  Secret arguments(soap::element("userName", credentials_.user) + password.get());
  with_retries(policy_, log_, "login to " + endpoint_.host,
               [&] { return post("Login", content_.session_manager, arguments.get()); });
}

void Client::logout(const std::string &other_session) {
  for (const std::string &session : {std::exchange(session_, ""), other_session}) {
    if (session.empty()) continue;
    session_ = session;
    try {
      post("Logout", content_.session_manager, "");
    } catch (const FaultError &e) {
      if (e.meaning() != Meaning::session_expired) throw;
    }
    session_.clear();
  }
}

// The pause before a call is repeated.
void Client::pause(std::chrono::milliseconds time) {
  if (patience_) {
    // The patience may be spent already, and more than that.
    time = std::clamp(time, std::chrono::milliseconds(0),
                      std::max(*patience_, std::chrono::milliseconds(0)));
    *patience_ -= time;
  }
  given_policy_.sleep(time);
}

HttpResponse Client::send(HttpRequest &request) {
  using clock = std::chrono::steady_clock;
  request.timeout = deadline_;
  if (!patience_) return http_->send(request);
  if (out_of_patience()) {
    util::fail(ETIMEDOUT, "{} has not answered in the time that is left to end", endpoint_.host);
  }
  request.timeout = std::min(deadline_, *patience_);
  const auto begin = clock::now();
  auto spend = [&](Client *self) {
    *self->patience_ -= std::chrono::ceil<std::chrono::milliseconds>(clock::now() - begin);
  };
  const std::unique_ptr<Client, decltype(spend)> at_end(this, spend);  // also if send() throws
  return http_->send(request);
}

soap::Reply Client::post(std::string_view method, const Ref &self, std::string_view arguments) {
  if (!http_) http_.emplace(endpoint_);
  Secret body(soap::envelope(method, self, arguments));
  HttpRequest request;
  request.path = "/sdk";
  request.headers = {"Content-Type: text/xml; charset=utf-8", soap_action, "Expect:"};
  if (!session_.empty()) request.headers.push_back("Cookie: " + session_);
  request.post = body.get();
  const soap::Limits limits = soap::limits_of(method);
  request.max_body = limits.bytes;

  std::string what = fmt::format("{} at {}", method, endpoint_.host);
  HttpResponse response;
  try {
    response = send(request);
  } catch (const TransportError &e) {
    // If the server has never been reached, server= is more likely wrong than the server down.
    bool retryable = e.retryable() && (e.connected() || answered_);
    throw TransportError(e.errnum(), e.what(), retryable, e.connected());
  }
  answered_ = true;
  for (const auto &cookie : response.cookies) {
    if (cookie.starts_with(session_cookie)) session_ = cookie;
  }
  // A fault comes with status 500; 502 to 504 come from a proxy in front of the server.
  if (response.status > 500) {
    throw TransportError(EIO, fmt::format("{}: HTTP status {}", what, response.status), true, true);
  }
  if (response.cut) {
    util::fail(EPROTO, "{}: the answer has more than {} bytes, which no server needs for it", what,
               limits.bytes);
  }
  return soap::Reply(response.status, std::move(response.body), limits, what);
}

// libcurl sends a request again by itself if a connection that it has used before ends without an answer. On a new
// connection it does not.
soap::Reply Client::post_once(std::string_view method, const Ref &self,
                              std::string_view arguments) {
  disconnect();
  may_have_begun_ = true;
  try {
    return post(method, self, arguments);
  } catch (const FaultError &) {
    may_have_begun_ = false;
    throw;
  } catch (const TransportError &e) {
    may_have_begun_ = e.connected();
    throw;
  }
}

soap::Reply Client::call(std::string_view method, const Ref &self, std::string_view arguments,
                         Repeat repeat) {
  // What must not be done twice is sent again only if there was no connection that could have taken it.
  auto may_repeat = [&](const TransportError &e) {
    return e.retryable() && (repeat == Repeat::safe || !e.connected());
  };
  if (repeat == Repeat::once) may_have_begun_ = false;
  return with_session([&] {
    return retry_while<TransportError>(policy_, log_, std::string(method) + ": ", may_repeat, [&] {
      return repeat == Repeat::once ? post_once(method, self, arguments)
                                    : post(method, self, arguments);
    });
  });
}

}  // namespace vsphere
