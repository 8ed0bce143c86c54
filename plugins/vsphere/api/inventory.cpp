// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/inventory.hpp"

#include <cerrno>
#include <string_view>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/entity_name.hpp"
#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/api/properties.hpp"

namespace vsphere {

namespace {

// No inventory is deeper than this: it ends a loop in the server's answers.
constexpr int max_depth = 64;

bool is_true(const std::string &text) {
  return text == "true" || text == "1";
}

void collect_snapshots(pugi::xml_node parent, const char *list, int depth,
                       std::vector<SnapshotInfo> &found) {
  if (depth > max_depth) return;
  for (pugi::xml_node tree : soap::children(parent, list)) {
    found.push_back({soap::ref(soap::child(tree, "snapshot")), soap::text(tree, "name"),
                     soap::text(tree, "description")});
    collect_snapshots(tree, "childSnapshotList", depth + 1, found);
  }
}

struct Ancestor {
  Ref ref;
  std::string name;
};

// The object and everything that it is in, innermost first, without the root folder.
std::vector<Ancestor> ancestors(Client &client, Ref object) {
  std::vector<Ancestor> chain;
  for (int depth = 0; depth < max_depth && !object.empty(); ++depth) {
    if (object == client.content().root_folder) break;
    std::vector<std::string> paths{"name", "parent"};
    if (object.type == "VirtualMachine") paths.push_back("parentVApp");
    ObjectContent content = read_properties(client, object, paths);
    chain.push_back({object, content.text("name")});
    Ref parent = soap::ref(content.property("parent"));
    object = parent.empty() ? soap::ref(content.property("parentVApp")) : parent;
  }
  return chain;
}

std::string path_of(const std::vector<Ancestor> &chain, size_t from) {
  std::string path;
  for (size_t i = chain.size(); i > from; --i) {
    path += (path.empty() ? "" : "/") + chain[i - 1].name;
  }
  return path;
}

std::string inventory_path(Client &client, const Ref &object) {
  return path_of(ancestors(client, object), 0);
}

// As the inventory has it, or decoded.
Ref find_by_name(Client &client, const std::string &name) {
  std::vector<Ref> found;
  for (const auto &vm : virtual_machines(client)) {
    if (vm.name == name || decode_entity_name(vm.name) == name) found.push_back(vm.ref);
  }
  if (found.size() < 2) return found.empty() ? Ref{} : found.front();
  std::string list;
  for (const auto &vm : found) {
    list += fmt::format("{}/{} (moref={})", list.empty() ? "" : ", ", inventory_path(client, vm),
                        vm.value);
  }
  util::fail(EINVAL, "vm={}: {} virtual machines have that name: {}; give the path or the moref",
             name, found.size(), list);
}

Ref find_by_inventory_path(Client &client, const std::string &path) {
  soap::Reply reply = client.call("FindByInventoryPath", client.content().search_index,
                                  soap::element("inventoryPath", path));
  return soap::ref(soap::child(reply.response(), "returnval"));
}

// The instance UUID, which vCenter keeps unique, before the BIOS UUID.
Ref find_by_uuid(Client &client, const std::string &uuid) {
  for (bool instance : {true, false}) {
    soap::Reply reply = client.call("FindByUuid", client.content().search_index,
                                    soap::element("uuid", uuid) + soap::element("vmSearch", true) +
                                        soap::element("instanceUuid", instance));
    Ref found = soap::ref(soap::child(reply.response(), "returnval"));
    if (!found.empty()) return found;
  }
  return {};
}

}  // namespace

Ref find_vm(Client &client, const std::string &wanted) {
  constexpr std::string_view moref = "moref=";
  constexpr std::string_view uuid = "uuid=";
  const bool is_path = wanted.find('/') != std::string::npos;
  Ref found;
  if (wanted.starts_with(moref)) {
    return {"VirtualMachine", wanted.substr(moref.size())};  // describe_vm checks that it exists
  }
  if (wanted.starts_with(uuid)) {
    found = find_by_uuid(client, wanted.substr(uuid.size()));
  } else if (is_path) {
    found = find_by_inventory_path(client, wanted);
    if (found.empty())
      found = find_by_name(client, wanted);  // of a machine that has a '/' in its name
    if (!found.empty() && found.type != "VirtualMachine") {
      util::fail(EINVAL, "vm={}: that is a {}, not a virtual machine", wanted, found.type);
    }
  } else {
    found = find_by_name(client, wanted);
  }
  if (found.empty()) {
    util::fail(ENOENT,
               "vm={}: there is no such virtual machine, or this user may not see it; an inventory "
               "path looks like /Datacenter/vm/Folder/Name{}",
               wanted, is_path ? ", with %2f, %25 and %5c for '/', '%' and '\\' in a name" : "");
  }
  return found;
}

VmInfo describe_vm(Client &client, const Ref &vm) {
  ObjectContent content =
      read_properties(client, vm,
                      {"name", "config.template", "config.changeTrackingEnabled",
                       "capability.changeTrackingSupported", "config.hardware.device", "snapshot",
                       "runtime.consolidationNeeded"});
  VmInfo info;
  info.ref = vm;
  info.name = content.text("name");
  info.is_template = is_true(content.text("config.template"));
  info.tracking_enabled = is_true(content.text("config.changeTrackingEnabled"));
  info.tracking_supported = is_true(content.text("capability.changeTrackingSupported"));
  info.needs_consolidation = is_true(content.text("runtime.consolidationNeeded"));
  info.snapshots = parse_snapshots(content.property("snapshot"));
  info.current_snapshot = soap::ref(soap::child(content.property("snapshot"), "currentSnapshot"));
  info.disks = parse_disks(content.property("config.hardware.device"));
  return info;
}

bool needs_consolidation(Client &client, const Ref &vm) {
  constexpr const char *path = "runtime.consolidationNeeded";
  return is_true(read_properties(client, vm, {path}).text(path));
}

// Every machine has a name: an answer without one does not say either that there is no snapshot.
bool has_snapshot(Client &client, const Ref &vm, const Ref &snapshot) {
  try {
    ObjectContent content = read_properties(client, vm, {"name", "snapshot"});
    if (content.text("name").empty()) {
      util::fail(EPROTO, "the server does not tell the name of {}", vm.value);
    }
    for (const auto &one : parse_snapshots(content.property("snapshot"))) {
      if (one.ref == snapshot) return true;
    }
  } catch (const FaultError &e) {
    if (e.fault().kind != "ManagedObjectNotFound") throw;
  }
  return false;
}

std::vector<DiskInfo> snapshot_disks(Client &client, const Ref &snapshot) {
  ObjectContent content = read_properties(client, snapshot, {"config.hardware.device"});
  return parse_disks(content.property("config.hardware.device"));
}

std::string datacenter_path(Client &client, const Ref &object) {
  std::vector<Ancestor> chain = ancestors(client, object);
  for (size_t i = 0; i < chain.size(); ++i) {
    if (chain[i].ref.type == "Datacenter") return path_of(chain, i);
  }
  util::fail(EPROTO,
             "the server does not tell which datacenter {} is in: the user may lack the privilege "
             "System.View",
             object.value);
}

const DiskInfo &choose_disk(const VmInfo &vm, const std::string &wanted) {
  for (const auto &disk : vm.disks) {
    if (std::to_string(disk.key) == wanted || disk.label == wanted) return disk;
  }
  for (size_t i = 0; i < vm.disks.size(); ++i) {
    if (std::to_string(i) == wanted) return vm.disks[i];
  }
  std::string list;
  for (const auto &disk : vm.disks) {
    list += fmt::format("{}{} (\"{}\")", list.empty() ? "" : ", ", disk.key, disk.label);
  }
  util::fail(ENOENT, "disk={}: virtual machine {} has no such disk; it has {}", wanted, vm.name,
             list.empty() ? "none" : list);
}

std::vector<SnapshotInfo> parse_snapshots(pugi::xml_node info) {
  std::vector<SnapshotInfo> found;
  collect_snapshots(info, "rootSnapshotList", 0, found);
  return found;
}

}  // namespace vsphere
