// SPDX-License-Identifier: BSD-3-Clause
//
// What a server sends: answers in XML, descriptors of disks, headers.
#include <algorithm>
#include <array>

#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/api/inventory.hpp"
#include "plugins/vsphere/api/reply.hpp"
#include "plugins/vsphere/api/soap.hpp"
#include "plugins/vsphere/changes/changed_areas.hpp"
#include "plugins/vsphere/changes/extent_maps.hpp"
#include "plugins/vsphere/http/response.hpp"
#include "plugins/vsphere/transport/https/folder_response.hpp"
#include "plugins/vsphere/transport/https/folder_url.hpp"
#include "plugins/vsphere/transport/https/vmdk_descriptor.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using Ranges = std::vector<extents::Range>;

void require_total(const extents::FrozenMap &map) {
  uint64_t at = 0;
  map.for_each({0, map.size()}, [&](const extents::Extent &extent) {
    fuzz::require(extent.offset == at && extent.length > 0);
    at = extent.end();
    return true;
  });
  fuzz::require(at == map.size());
}

// As the answer to every page that is asked for: what passes the checks is in order, and a map of it
// covers the disk.
void read_areas(pugi::xml_node info) {
  vsphere::AreaPage page = vsphere::parse_area_page(info);
  uint64_t capacity = std::min(page.start + page.length, uint64_t{1} << 50);
  unsigned pages = 0;
  Ranges areas = vsphere::all_areas(capacity, [&](uint64_t start) {
    fuzz::require(start < capacity && ++pages <= 2);
    return page;
  });
  uint64_t end = 0;
  for (const auto &area : areas) {
    fuzz::require(area.offset >= end && !area.empty() && area.end() <= capacity);
    end = area.end();
  }
  require_total(vsphere::full_map(capacity, areas));
  require_total(vsphere::delta_map(capacity, areas, areas));
  require_total(vsphere::delta_map(capacity, areas, std::nullopt));
}

// Reads an answer as the client does, whatever it is an answer to.
void read_reply(long status, const std::string &text) {
  namespace soap = vsphere::soap;
  soap::Reply reply(status, text, soap::limits_of("QueryChangedDiskAreas"), "fuzz");
  for (pugi::xml_node node : reply.response()) {
    soap::xsi_type(node);
    soap::ref(node);
    for (const char *name : {"startOffset", "length", "key"}) {
      fuzz::may_refuse([&] { soap::number(node, name); });
    }
    soap::element("text", soap::text(node, "name"));
    fuzz::may_refuse([&] { read_areas(node); });
    fuzz::may_refuse([&] {
      for (const auto &disk : vsphere::parse_disks(node)) vsphere::why_unreadable(disk);
    });
    vsphere::parse_snapshots(node);
    vsphere::Fault fault = vsphere::parse_method_fault(node);
    vsphere::meaning_of(fault);
    vsphere::fault_error(fault, "fuzz");
  }
}

void read_names(const std::string &text) {
  fuzz::may_refuse([&] {
    vsphere::DatastorePath file = vsphere::parse_datastore_path(text, "DC0", [&] {
      // What stands before the last "] ", and some of it: as if the inventory had both.
      std::string name = text.substr(1, text.rfind("] ") - 1);
      return std::vector<std::string>{name.substr(0, name.size() / 2), name};
    });
    fuzz::require(file.name() == text);
    for (char c : vsphere::folder_url(file.sibling("x-flat.vmdk"))) {
      fuzz::require(c > ' ' && c < 0x7f && c != '#');
    }
  });
  fuzz::may_refuse(
      [&] { fuzz::require(vsphere::check_content_range(text, 512, 1024, "fuzz") >= 1536); });
}

// Headers a line each, then a body that comes in pieces.
void read_answer(const std::string &text) {
  std::array<std::byte, 64> buffer;
  vsphere::HttpRequest request;
  request.into = buffer;
  request.max_body = 100;
  for (long status : {200L, 206L, 500L}) {
    vsphere::ResponseReceiver receiver(request);
    for (size_t at = 0; at < text.size();) {
      size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      std::string_view line(text.data() + at, end - at);
      receiver.on_header(line);
      if (receiver.on_body(status, line) != line.size()) break;
      at = end;
    }
    bool cut = receiver.cut();
    vsphere::HttpResponse response = receiver.take(status);
    fuzz::require(response.received <= buffer.size() && response.body.size() <= 100);
    fuzz::require(cut == response.cut);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  fuzz::may_refuse([&] { read_reply(200, text); });
  fuzz::may_refuse([&] { read_reply(500, text); });
  fuzz::may_refuse([&] {
    auto extent = vsphere::parse_vmdk_descriptor(text, "[ds] vm/vm.vmdk");
    fuzz::require(!extent.file.empty() && extent.file.find('/') == std::string::npos);
  });
  read_names(text);
  read_answer(text);
  return 0;
}
