// SPDX-License-Identifier: BSD-3-Clause
//
// What a server sends: answers in XML, and descriptors of disks.
#include "plugins/vsphere/descriptor.hpp"
#include "plugins/vsphere/soap.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

// Reads an answer as the client does, whatever it is an answer to.
void read_reply(long status, const std::string &text) {
  namespace soap = vsphere::soap;
  soap::Reply reply(status, text, "fuzz");
  for (pugi::xml_node node : reply.response()) {
    soap::xsi_type(node);
    soap::ref(node);
    for (const char *name : {"startOffset", "length", "key"}) {
      fuzz::may_refuse([&] { soap::number(node, name); });
    }
    soap::element("text", soap::text(node, "name"));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  fuzz::may_refuse([&] { read_reply(200, text); });
  fuzz::may_refuse([&] { read_reply(500, text); });
  fuzz::may_refuse([&] {
    auto extent = vsphere::parse_descriptor(text, "[ds] vm/vm.vmdk");
    fuzz::require(!extent.file.empty() && extent.file.find('/') == std::string::npos);
  });
  return 0;
}
