// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/inventory.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>

#include "common/util/error.hpp"

namespace vsphere {

namespace {

// No inventory is deeper; a server that answers in circles is not followed.
constexpr int max_depth = 64;

bool is_true(const std::string &text) {
  return text == "true" || text == "1";
}

uint64_t capacity_of(pugi::xml_node device) {
  if (soap::child(device, "capacityInBytes")) return soap::number(device, "capacityInBytes");
  uint64_t kib = soap::number(device, "capacityInKB");
  if (kib > INT64_MAX / 1024) util::fail(EPROTO, "a disk of {} KiB is larger than disks are", kib);
  return kib * 1024;
}

int64_t key_of(pugi::xml_node device) {
  std::string text = soap::text(device, "key");
  int64_t key = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), key);
  if (error != std::errc() || end != text.data() + text.size()) {
    util::fail(EPROTO, "the server gives a disk the key \"{}\"", text);
  }
  return key;
}

DiskInfo parse_disk(pugi::xml_node device) {
  pugi::xml_node backing = soap::child(device, "backing");
  DiskInfo disk;
  disk.key = key_of(device);
  disk.label = soap::text(soap::child(device, "deviceInfo"), "label");
  disk.capacity = capacity_of(device);
  disk.backing = soap::xsi_type(backing);
  disk.file = soap::text(backing, "fileName");
  disk.datastore = soap::ref(soap::child(backing, "datastore"));
  disk.mode = soap::text(backing, "diskMode");
  disk.rdm_mode = soap::text(backing, "compatibilityMode");
  disk.sharing = soap::text(backing, "sharing");
  disk.change_id = soap::text(backing, "changeId");
  disk.has_parent = !soap::child(backing, "parent").empty();
  return disk;
}

// Which controllers share their bus with other machines: key -> how.
std::map<std::string, std::string> shared_buses(const std::vector<pugi::xml_node> &devices) {
  std::map<std::string, std::string> buses;
  for (pugi::xml_node device : devices) {
    std::string how = soap::text(device, "sharedBus");
    if (!how.empty()) buses[soap::text(device, "key")] = how;
  }
  return buses;
}

void collect_snapshots(pugi::xml_node parent, const char *list, int depth,
                       std::vector<SnapshotInfo> &found) {
  if (depth > max_depth) return;
  for (pugi::xml_node tree : soap::children(parent, list)) {
    found.push_back({soap::ref(soap::child(tree, "snapshot")), soap::text(tree, "name")});
    collect_snapshots(tree, "childSnapshotList", depth + 1, found);
  }
}

struct Ancestor {
  Ref ref;
  std::string name;
};

// The object and what it is in, innermost first, without the root folder.
std::vector<Ancestor> ancestors(Client &client, Ref object) {
  std::vector<Ancestor> chain;
  for (int depth = 0; depth < max_depth && !object.empty(); ++depth) {
    if (object == client.content().root_folder) break;
    std::vector<std::string> paths{"name", "parent"};
    if (object.type == "VirtualMachine") paths.push_back("parentVApp");
    Contents keep;
    ObjectContent content = client.properties(object, paths, keep);
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

Ref find_by_name(Client &client, const std::string &name) {
  Contents all = client.virtual_machines();
  std::vector<Ref> found;
  for (const auto &vm : all.objects) {
    if (vm.text("name") == name) found.push_back(vm.object);
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

}  // namespace

Ref find_vm(Client &client, const std::string &wanted) {
  constexpr std::string_view moref = "moref=";
  constexpr std::string_view uuid = "uuid=";
  Ref found;
  if (wanted.starts_with(moref)) {
    return {"VirtualMachine", wanted.substr(moref.size())};  // looked at by describe_vm
  }
  if (wanted.starts_with(uuid)) {
    found = client.find_by_uuid(wanted.substr(uuid.size()));
  } else if (wanted.find('/') != std::string::npos) {
    found = client.find_by_inventory_path(wanted);
    if (!found.empty() && found.type != "VirtualMachine") {
      util::fail(EINVAL, "vm={}: that is a {}, not a virtual machine", wanted, found.type);
    }
  } else {
    found = find_by_name(client, wanted);
  }
  if (found.empty()) {
    util::fail(ENOENT,
               "vm={}: there is no such virtual machine, or this user may not see it; an inventory "
               "path looks like /Datacenter/vm/Folder/Name",
               wanted);
  }
  return found;
}

VmInfo describe_vm(Client &client, const Ref &vm) {
  Contents keep;
  ObjectContent content =
      client.properties(vm,
                        {"name", "config.template", "config.changeTrackingEnabled",
                         "capability.changeTrackingSupported", "config.hardware.device", "snapshot",
                         "runtime.consolidationNeeded"},
                        keep);
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

std::vector<DiskInfo> snapshot_disks(Client &client, const Ref &snapshot) {
  Contents keep;
  ObjectContent content = client.properties(snapshot, {"config.hardware.device"}, keep);
  return parse_disks(content.property("config.hardware.device"));
}

std::string inventory_path(Client &client, const Ref &object) {
  return path_of(ancestors(client, object), 0);
}

std::string datacenter_path(Client &client, const Ref &object) {
  std::vector<Ancestor> chain = ancestors(client, object);
  for (size_t i = 0; i < chain.size(); ++i) {
    if (chain[i].ref.type == "Datacenter") return path_of(chain, i);
  }
  util::fail(EPROTO, "the server names no datacenter that {} is in: the user may lack System.View",
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

std::string unreadable_because(const DiskInfo &disk) {
  if (disk.mode.starts_with("independent")) {
    return "it is an independent disk: snapshots leave it out";
  }
  if (disk.rdm_mode == "physicalMode") {
    return "it is a raw device mapping in physical mode: snapshots leave it out";
  }
  if (!disk.rdm_mode.empty() || disk.backing.find("RawDisk") != std::string::npos) {
    return "it is a raw device mapping: its data is not in a file";
  }
  if (disk.sharing == "sharingMultiWriter") {
    return "it is shared with other virtual machines (multi-writer): it cannot be in a snapshot";
  }
  if (!disk.bus.empty() && disk.bus != "noSharing") {
    return "its controller shares the SCSI bus with other virtual machines (" + disk.bus +
           "): they cannot have snapshots";
  }
  if (disk.backing != "VirtualDiskFlatVer2BackingInfo") {
    return "its backing is a " + (disk.backing.empty() ? "unknown one" : disk.backing) +
           ", not a flat file";
  }
  return "";
}

std::vector<DiskInfo> parse_disks(pugi::xml_node devices) {
  std::vector<DiskInfo> disks;
  std::vector<pugi::xml_node> all = soap::children(devices, "VirtualDevice");
  std::map<std::string, std::string> buses = shared_buses(all);
  for (pugi::xml_node device : all) {
    if (soap::xsi_type(device) != "VirtualDisk") continue;
    disks.push_back(parse_disk(device));
    auto bus = buses.find(soap::text(device, "controllerKey"));
    if (bus != buses.end()) disks.back().bus = bus->second;
  }
  return disks;
}

std::vector<SnapshotInfo> parse_snapshots(pugi::xml_node info) {
  std::vector<SnapshotInfo> found;
  collect_snapshots(info, "rootSnapshotList", 0, found);
  return found;
}

}  // namespace vsphere
