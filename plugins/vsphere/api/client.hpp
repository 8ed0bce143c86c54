// SPDX-License-Identifier: BSD-3-Clause
//
// A session with a vCenter Server or an ESXi host: the calls of the vSphere Web Services API that
// this plugin makes.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/util/log.hpp"
#include "plugins/vsphere/api/soap.hpp"
#include "plugins/vsphere/changes/changed_areas.hpp"
#include "plugins/vsphere/http/connection.hpp"
#include "plugins/vsphere/http/retry.hpp"

namespace vsphere {

// ServiceContent: the objects through which everything else is found.
struct ServiceContent {
  Ref root_folder;
  Ref property_collector;
  Ref session_manager;
  Ref search_index;
  Ref view_manager;
  std::string instance;  // the server's own identity; empty on an ESXi host
  std::string api_type;  // "VirtualCenter"; "HostAgent" on an ESXi host
};

// One object's properties by path; what is unset on the server is absent.
struct ObjectContent {
  Ref object;
  std::map<std::string, pugi::xml_node> properties;

  pugi::xml_node property(const std::string &path) const;  // a null node if unset
  std::string text(const std::string &path) const;         // empty if unset
};

// The objects of a RetrievePropertiesEx; the nodes live in the replies.
struct Contents {
  std::vector<soap::Reply> replies;
  std::vector<ObjectContent> objects;
};

// SessionManagerGenericServiceTicket.
struct Ticket {
  std::string id;
  std::string thumbprint;  // of the host's certificate, "AA:BB:..."; empty: not told
};

// Not synchronised: one thread at a time. Every call may throw TransportError, FaultError and
// util::Error, each naming what was asked. A call whose session has expired logs in once more and
// is made again; one that may be made twice is retried as the policy says.
class Client {
 public:
  // The credentials must outlive it.
  Client(const Endpoint &endpoint, const Credentials &credentials, const RetryPolicy &policy,
         const util::Log &log);

  void login();
  // Goes on with a session that the server has given elsewhere, as a cookie; logs in if it is empty.
  void join(const std::string &session);

  const std::string &session() const { return cookie_; }
  void use_session(const std::string &cookie) { cookie_ = cookie; }

  // Ends our session and, if it is not empty, another one of the same server, given as its cookie.
  // Nothing to do if there is none.
  void logout(const std::string &other_session);

  // Closes the connection, for a fork; the session goes on with the next call.
  void disconnect() { http_.reset(); }

  const ServiceContent &content() const { return content_; }

  Ref find_by_inventory_path(const std::string &path);  // empty: there is none
  Ref find_by_uuid(const std::string &uuid);            // as instance UUID, then as BIOS UUID

  ObjectContent properties(const Ref &object, const std::vector<std::string> &paths,
                           Contents &keep);
  // The names of all virtual machines.
  Contents virtual_machines();

  // Start a task and wait for its end, telling of its progress. A machine that is busy with another
  // task is waited for, as the policy says. Throw util::Error ETIMEDOUT at the deadline.
  void enable_change_tracking(const Ref &vm);
  Ref create_snapshot(const Ref &vm, const std::string &name, const std::string &description,
                      bool quiesce);
  void remove_snapshot(const Ref &snapshot);
  void consolidate(const Ref &vm);

  // Waits for the task that one of these has left under way, because it was interrupted or the server
  // did not tell of it; what becomes of the task does not matter. Nothing to do if there is none.
  void finish_task();

  // Whether files of removed snapshots still have to be merged into the disks.
  bool needs_consolidation(const Ref &vm);

  // For one GET request, or a few, of a URL of an ESXi host.
  Ticket acquire_ticket(const std::string &url);

  AreaPage query_changed_disk_areas(const Ref &vm, const Ref &snapshot, int64_t device_key,
                                    uint64_t start, const std::string &change_id);

 private:
  enum class Repeat { safe, once };  // whether a call may be made twice

  struct TaskCall {
    std::string_view method;
    const Ref &self;
    std::string arguments;
    std::string what;  // for messages
    std::chrono::seconds deadline;
    Repeat repeat = Repeat::once;
    unsigned patience = 0;  // retries of a busy machine, if they are more than the policy's
  };

  void retrieve_content();
  void authenticate();
  soap::Reply post(std::string_view method, const Ref &self, std::string_view arguments);
  soap::Reply call(std::string_view method, const Ref &self, std::string_view arguments,
                   Repeat repeat = Repeat::safe);
  Contents retrieve(const std::string &spec_set);
  Ref run(const TaskCall &task);
  Ref wait_for(const Ref &task, const std::string &what, std::chrono::seconds deadline);

  const Endpoint endpoint_;
  const Credentials &credentials_;
  const RetryPolicy policy_;
  const util::Log log_;
  std::optional<HttpConnection> http_;  // made when it is needed
  std::string cookie_;        // the session; empty: none
  bool reached_ = false;      // the server has answered before: it is worth trying again
  ServiceContent content_;
  Ref unfinished_;  // a task whose end we have not seen, and want to
};

}  // namespace vsphere
