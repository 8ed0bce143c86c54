// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/service_tickets.hpp"

#include <cerrno>
#include <memory>

#include "plugins/vsphere/api/properties.hpp"

namespace vsphere {

ServiceTickets::ServiceTickets(const Endpoint &endpoint, const Credentials &credentials,
                               const RetryPolicy &policy, SharedSession &shared,
                               const util::Log &log)
    : client_(endpoint, credentials, policy, log),
      timeout_(endpoint.stall_timeout),
      retries_(policy.retries),
      shared_(shared) {}

void ServiceTickets::begin_call() {
  util::MutexLock lock(mutex_);
  while (busy_) idle_.wait(lock);  // every call has a deadline, so the wait ends
  busy_ = true;
}

void ServiceTickets::end_call() {
  util::MutexLock lock(mutex_);
  busy_ = false;
  idle_.notify_one();
}

// If the call began a new session, it becomes the shared one, unless there is a newer one. After a
// call that failed there may be none: the shared one stays, as it has to be ended.
void ServiceTickets::share_session(const std::string &old) {
  const std::string session = client_.session();
  if (session.empty() || session == old || shared_.replace_session(old, session)) return;
  try {
    client_.logout("");
  } catch (const util::Error &) {  // the session expires
  }
}

template <typename Call>
auto ServiceTickets::exclusively(unsigned retries, Call &&call) {
  begin_call();
  const std::string session = shared_.session();
  auto end = [&](ServiceTickets *self) {
    self->share_session(session);
    self->end_call();
  };
  std::unique_ptr<ServiceTickets, decltype(end)> at_end(this, end);  // also if call() throws
  // A read waits for these calls.
  client_.set_limits(timeout_, retries);
  if (joined_) {
    client_.use_session(session);
  } else {
    client_.join(session);
    joined_ = true;
  }
  return call();
}

std::optional<std::string> ServiceTickets::host_of(const std::string &vm) {
  return exclusively(retries_, [&]() -> std::optional<std::string> {
    if (client_.content().api_type != "VirtualCenter") return std::nullopt;
    ObjectContent machine = read_properties(client_, {"VirtualMachine", vm}, {"runtime.host"});
    Ref host = soap::ref(machine.property("runtime.host"));
    if (host.empty()) util::fail(EPROTO, "the server does not tell which host {} runs on", vm);
    std::string name = read_properties(client_, host, {"name"}).text("name");
    if (name.empty()) util::fail(EPROTO, "the server does not tell the name of {}", host.value);
    return name;
  });
}

std::vector<std::string> ServiceTickets::datastore_names(const std::string &vm,
                                                         const Ref &datastore) {
  return exclusively(retries_, [&] {
    std::vector<Ref> datastores;
    if (datastore.empty()) {
      ObjectContent machine = read_properties(client_, {"VirtualMachine", vm}, {"datastore"});
      for (pugi::xml_node one :
           soap::children(machine.property("datastore"), "ManagedObjectReference")) {
        datastores.push_back(soap::ref(one));
      }
    } else {
      datastores.push_back(datastore);
    }
    std::vector<std::string> names;
    for (const Ref &one : datastores) {
      names.push_back(read_properties(client_, one, {"name"}).text("name"));
    }
    return names;
  });
}

Ticket ServiceTickets::acquire(const std::string &url, Retries retries) {
  return exclusively(retries == Retries::of_caller ? 0 : retries_, [&] {
    soap::Reply reply =
        client_.call("AcquireGenericServiceTicket", client_.content().session_manager,
                     "<spec xsi:type=\"SessionManagerHttpServiceRequestSpec\">" +
                         soap::element("method", std::string_view("httpGet")) +
                         soap::element("url", url) + "</spec>");
    pugi::xml_node value = soap::child(reply.response(), "returnval");
    Ticket ticket{soap::text(value, "id"), soap::text(value, "sslThumbprint")};
    // It becomes a part of a header.
    if (ticket.id.empty() || ticket.id.find_first_of(" ;,\r\n\t\"") != std::string::npos) {
      util::fail(EPROTO, "the server gives an invalid ticket for {}", url);
    }
    return ticket;
  });
}

void ServiceTickets::disconnect() {
  util::MutexLock lock(mutex_);
  if (!busy_) client_.disconnect();
}

}  // namespace vsphere
