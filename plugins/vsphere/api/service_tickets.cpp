// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/service_tickets.hpp"

#include <cerrno>

namespace vsphere {

TicketOffice::TicketOffice(const Endpoint &endpoint, const Credentials &credentials,
                           const RetryPolicy &policy, LoginSession &session, const util::Log &log)
    : client_(endpoint, credentials, policy, log), session_(session) {}

template <typename Call>
auto TicketOffice::in_turn(Call &&call) {
  {
    std::unique_lock lock(mutex_);
    free_.wait(lock, [&] { return !busy_; });  // ends: every call has a deadline
    busy_ = true;
  }
  std::string session = session_.cookie();
  // At the end of the turn, however it ends.
  auto end = [&](void *) {
    if (client_.session() != session && !session_.replace(session, client_.session())) {
      try {
        client_.logout("");            // the reads have begun one of their own meanwhile
      } catch (const util::Error &) {  // it expires
      }
    }
    std::lock_guard lock(mutex_);
    busy_ = false;
    free_.notify_one();
  };
  std::unique_ptr<TicketOffice, decltype(end)> turn(this, end);
  if (connected_) {
    client_.use_session(session);
  } else {
    client_.join(session);  // logs in if there is none yet
    connected_ = true;
  }
  return call();
}

std::optional<std::string> TicketOffice::host_of(const std::string &vm) {
  return in_turn([&]() -> std::optional<std::string> {
    if (client_.content().api_type != "VirtualCenter") return std::nullopt;
    Contents keep;
    Ref host = soap::ref(client_.properties({"VirtualMachine", vm}, {"runtime.host"}, keep)
                             .property("runtime.host"));
    if (host.empty()) util::fail(EPROTO, "the server does not tell which host {} runs on", vm);
    std::string name = client_.properties(host, {"name"}, keep).text("name");
    if (name.empty()) util::fail(EPROTO, "the server does not tell the name of {}", host.value);
    return name;
  });
}

std::vector<std::string> TicketOffice::datastore_names(const std::string &vm,
                                                       const Ref &datastore) {
  return in_turn([&] {
    Contents keep;
    std::vector<Ref> datastores;
    if (datastore.empty()) {
      pugi::xml_node all =
          client_.properties({"VirtualMachine", vm}, {"datastore"}, keep).property("datastore");
      for (pugi::xml_node one : soap::children(all, "ManagedObjectReference")) {
        datastores.push_back(soap::ref(one));
      }
    } else {
      datastores.push_back(datastore);
    }
    std::vector<std::string> names;
    for (const Ref &one : datastores) {
      names.push_back(client_.properties(one, {"name"}, keep).text("name"));
    }
    return names;
  });
}

Ticket TicketOffice::acquire(const std::string &url) {
  return in_turn([&] { return client_.acquire_ticket(url); });
}

void TicketOffice::disconnect() {
  std::lock_guard lock(mutex_);
  if (!busy_) client_.disconnect();
}

}  // namespace vsphere
