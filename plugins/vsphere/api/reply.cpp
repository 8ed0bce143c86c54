// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/reply.hpp"

#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/api/soap.hpp"

namespace vsphere::soap {

Reply::Reply(long http_status, std::string_view body, const std::string &what)
    : document_(std::make_unique<pugi::xml_document>()) {
  pugi::xml_parse_result parsed = document_->load_buffer(body.data(), body.size());
  pugi::xml_node soap_body = child(child(*document_, "Envelope"), "Body");
  if (!parsed || !soap_body) {
    util::fail(EPROTO,
               "{}: the server's answer (HTTP status {}) is not one of vSphere: check that "
               "server= is a vCenter Server or an ESXi host",
               what, http_status);
  }
  if (pugi::xml_node fault = child(soap_body, "Fault"))
    throw fault_error(parse_soap_fault(fault), what);
  if (http_status != 200) util::fail(EPROTO, "{}: HTTP status {}", what, http_status);
  response_ = soap_body.first_child();
}

}  // namespace vsphere::soap
