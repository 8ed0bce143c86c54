// SPDX-License-Identifier: BSD-3-Clause
//
// A session with a vCenter Server or an ESXi host: login, calls, logout. What is called is in the
// other files of this folder.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "common/util/log.hpp"
#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/api/reply.hpp"
#include "plugins/vsphere/api/soap.hpp"
#include "plugins/vsphere/http/connection.hpp"
#include "plugins/vsphere/http/retry.hpp"

namespace vsphere {

// ServiceContent: the objects that give access to everything else.
struct ServiceContent {
  Ref root_folder;
  Ref property_collector;
  Ref session_manager;
  Ref search_index;
  Ref view_manager;
  std::string instance;  // the UUID of the vCenter Server; empty on an ESXi host
  std::string api_type;  // "VirtualCenter"; "HostAgent" on an ESXi host
};

// One thread at a time. A session is a cookie, "vmware_soap_session=..."; an empty one is none. All
// calls may throw TransportError, FaultError and util::Error, with what was called in the message.
class Client {
 public:
  // The credentials must outlive it.
  Client(const Endpoint &endpoint, const Credentials &credentials, const RetryPolicy &policy,
         const util::Log &log);
  Client(const Client &) = delete;
  Client &operator=(const Client &) = delete;

  void login();
  // Continues a session that was begun elsewhere; logs in if it is empty.
  void join(const std::string &session);

  const std::string &session() const { return session_; }
  void use_session(const std::string &session) { session_ = session; }

  // Ends this session and, if it is not empty, another one of the same server. Does nothing if there
  // is no session.
  void logout(const std::string &other_session);

  // Closes the connection, before a fork. The next call connects again, with the same session.
  void disconnect() { http_.reset(); }

  const ServiceContent &content() const { return content_; }

  // Whether a broken connection may be followed by the same call once more. One that was never made may be in any case.
  enum class Repeat { safe, once };

  // How long each call may take, and how often one is repeated after a broken connection at most. At first
  // five minutes, as QueryChangedDiskAreas can take minutes for a large disk, and as the policy says.
  void set_limits(std::chrono::milliseconds deadline, unsigned retries);

  // From now on all calls together wait at most so long for answers, with the pauses before they are
  // repeated. After that every call throws util::Error ETIMEDOUT at once.
  void set_patience(std::optional<std::chrono::milliseconds> time) { patience_ = time; }
  // What is left of it; none: without end.
  std::optional<std::chrono::milliseconds> patience() const { return patience_; }
  bool out_of_patience() const { return patience_ && patience_->count() <= 0; }

  // Calls a method of the object `self`; `arguments` are XML elements. Retries as the policy says, and
  // logs in again if the session has expired. An answer that is larger than answers to this method are is
  // refused: util::Error EPROTO.
  soap::Reply call(std::string_view method, const Ref &self, std::string_view arguments,
                   Repeat repeat = Repeat::safe);

  // Whether the server may have begun what was called last with Repeat::once. False: there was no connection, or a fault was
  // the answer.
  bool may_have_begun() const { return may_have_begun_; }

  // Returns what attempt() returns. If the session turns out to have expired, logs in and calls
  // attempt() once more.
  template <typename Attempt>
  auto with_session(Attempt &&attempt) {
    try {
      return attempt();
    } catch (const FaultError &e) {
      if (e.meaning() != Meaning::session_expired) throw;
    }
    log_.info("the session with {} has expired: logging in again", endpoint_.host);
    authenticate();
    return attempt();
  }

 private:
  void retrieve_content();
  void authenticate();
  soap::Reply post(std::string_view method, const Ref &self, std::string_view arguments);
  soap::Reply post_once(std::string_view method, const Ref &self, std::string_view arguments);
  HttpResponse send(HttpRequest &request);
  void pause(std::chrono::milliseconds time);

  const Endpoint endpoint_;
  const Credentials &credentials_;
  const RetryPolicy given_policy_;
  RetryPolicy policy_;  // the same with the retries of set_limits(), and pause()
  std::chrono::milliseconds deadline_;
  std::optional<std::chrono::milliseconds> patience_;
  const util::Log log_;
  std::optional<HttpConnection> http_;  // made by the first call
  std::string session_;
  bool may_have_begun_ = false;
  bool answered_ = false;  // whether the server has ever answered: if not, no retry
  ServiceContent content_;
};

}  // namespace vsphere
