// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/disk_info.hpp"

#include <cerrno>
#include <charconv>
#include <map>

#include "common/util/error.hpp"

namespace vsphere {

namespace {

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
  disk.encrypted = !soap::child(backing, "keyId").empty();
  disk.has_parent = !soap::child(backing, "parent").empty();
  return disk;
}

// The bus sharing of each SCSI controller, by its device key.
std::map<std::string, std::string> shared_buses(const std::vector<pugi::xml_node> &devices) {
  std::map<std::string, std::string> buses;
  for (pugi::xml_node device : devices) {
    std::string how = soap::text(device, "sharedBus");
    if (!how.empty()) buses[soap::text(device, "key")] = how;
  }
  return buses;
}

}  // namespace

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

std::string why_unreadable(const DiskInfo &disk) {
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

}  // namespace vsphere
