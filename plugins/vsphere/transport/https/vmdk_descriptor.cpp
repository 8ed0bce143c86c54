// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/vmdk_descriptor.hpp"

#include <cctype>
#include <cerrno>
#include <charconv>
#include <map>
#include <utility>
#include <vector>

#include "common/util/error.hpp"

namespace vsphere {

namespace {

constexpr uint64_t extent_unit = 512;  // bytes; the unit of extents in a descriptor

struct ExtentLine {
  uint64_t sectors = 0;
  std::string kind;  // "VMFS", "VMFSSPARSE", "SESPARSE", "VMFSRDM" ...
  std::string file;
};

struct Descriptor {
  std::map<std::string, std::string> values;  // by key in lower case; without quotes
  std::vector<ExtentLine> extents;
};

std::string_view trim(std::string_view text) {
  auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view take_word(std::string_view &line) {
  line = trim(line);
  auto end = line.find_first_of(" \t");
  std::string_view word = line.substr(0, end);
  line.remove_prefix(word.size());
  return word;
}

std::string_view unquote(std::string_view text) {
  text = trim(text);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    return text.substr(1, text.size() - 2);
  }
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char &c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// RW 131072 VMFS "disk-flat.vmdk"
bool parse_extent(std::string_view line, ExtentLine &extent) {
  std::string_view access = take_word(line);
  if (access != "RW" && access != "RDONLY" && access != "NOACCESS") return false;
  std::string_view sectors = take_word(line);
  auto [end, error] =
      std::from_chars(sectors.data(), sectors.data() + sectors.size(), extent.sectors);
  if (error != std::errc() || end != sectors.data() + sectors.size()) return false;
  extent.kind = take_word(line);
  line = trim(line);
  if (line.empty() || line.front() != '"') return false;
  auto close = line.find('"', 1);
  if (close == std::string_view::npos) return false;
  extent.file = line.substr(1, close - 1);  // an offset may follow the name
  return true;
}

Descriptor parse_lines(std::string_view text) {
  Descriptor descriptor;
  while (!text.empty()) {
    auto newline = text.find('\n');
    std::string_view line = trim(text.substr(0, newline));
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    ExtentLine extent;
    if (line.empty() || line.front() == '#') continue;
    if (parse_extent(line, extent)) {
      descriptor.extents.push_back(extent);
    } else if (auto equals = line.find('='); equals != std::string_view::npos) {
      descriptor.values[lower(trim(line.substr(0, equals)))] = unquote(line.substr(equals + 1));
    }
  }
  return descriptor;
}

// Of one of the IO filters: "vmwarelwd" is also written "VMW_vmwarelwd_1.0.0".
std::string filter_name(std::string_view filter) {
  constexpr std::string_view vendor = "vmw_";
  std::string name = lower(trim(filter));
  if (!name.starts_with(vendor)) return name;
  name.erase(0, vendor.size());
  return name.substr(0, name.find('_'));
}

std::vector<std::string> filter_names(std::string_view list) {
  std::vector<std::string> names;
  while (!list.empty()) {
    const auto comma = list.find(',');
    std::string name = filter_name(list.substr(0, comma));
    if (!name.empty()) names.push_back(std::move(name));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
  return names;
}

// Replication copies what is written to another site, and storage I/O control delays it: the file has all of the disk.
bool leaves_data_alone(const std::string &filter) {
  return filter == "vmwarelwd" || filter == "spm";
}

[[noreturn]] void refuse_encrypted(const std::string &origin) {
  util::fail(ENOTSUP,
             "{} is encrypted, and only its ciphertext can be read over HTTPS: use "
             "transport=vddk",
             origin);
}

// What vSphere puts between the file and the disk may change the data (an IO filter that encrypts) or keep some of it elsewhere
// (a cache).
void refuse_filtered(const Descriptor &descriptor, const std::string &origin) {
  for (const char *key : {"keyid", "encryptionkeys"}) {
    if (descriptor.values.contains(key)) refuse_encrypted(origin);
  }
  auto filters = descriptor.values.find("ddb.iofilters");
  if (filters == descriptor.values.end()) return;
  for (const std::string &name : filter_names(filters->second)) {
    if (name == "vmwarevmcrypt") refuse_encrypted(origin);
    if (leaves_data_alone(name)) continue;
    util::fail(ENOTSUP,
               "{} has the IO filter \"{}\" (which caches, say), so its file may have other data "
               "than the disk: use transport=vddk",
               origin, name);
  }
}

}  // namespace

FlatExtent parse_vmdk_descriptor(std::string_view text, const std::string &origin) {
  if (text.find("# Disk DescriptorFile") == std::string_view::npos) {
    util::fail(EINVAL, "{} is not a VMDK descriptor", origin);
  }
  Descriptor descriptor = parse_lines(text);
  std::string parent = lower(descriptor.values["parentcid"]);
  std::string type = descriptor.values["createtype"];
  refuse_filtered(descriptor, origin);
  if (parent != "ffffffff") {
    util::fail(ENOTSUP,
               "{} is one of a chain of files (its parent is {}), which cannot be read over HTTPS: "
               "remove the virtual machine's snapshots, or consolidate its disks",
               origin, parent.empty() ? "unknown" : parent);
  }
  if (type != "vmfs" || descriptor.extents.size() != 1 || descriptor.extents[0].kind != "VMFS") {
    util::fail(
        ENOTSUP,
        "{} is a disk of type \"{}\" with {} extent(s){}: only one flat file can be read over "
        "HTTPS",
        origin, type, descriptor.extents.size(),
        descriptor.extents.empty() ? "" : " of kind " + descriptor.extents[0].kind);
  }
  const ExtentLine &extent = descriptor.extents[0];
  // An object of vSAN or vVols ("vsan://..."), or a file outside the directory of the disk.
  if (extent.file.empty() || extent.file.find('/') != std::string::npos) {
    util::fail(ENOTSUP,
               "{} keeps its data in \"{}\", not in a file beside it: it cannot be read over HTTPS",
               origin, extent.file);
  }
  if (extent.sectors > INT64_MAX / extent_unit) {
    util::fail(EINVAL, "{}: {} sectors are more than a disk has", origin, extent.sectors);
  }
  return {extent.file, extent.sectors * extent_unit};
}

}  // namespace vsphere
