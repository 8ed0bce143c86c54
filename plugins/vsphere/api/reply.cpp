// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/reply.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/api/soap.hpp"

namespace vsphere::soap {

namespace {

constexpr size_t mebi = size_t{1} << 20;
constexpr Limits usual{mebi, 32 << 10};
constexpr Limits properties{16 * mebi, 512 << 10};
constexpr Limits changed_areas{16 * mebi, mebi};

// Every element begins with '<', and so does its end, every attribute has a '=', and a text stands between
// two tags: there are at most twice as many nodes.
size_t count_tags(std::string_view text) {
  auto marks =
      std::count(text.begin(), text.end(), '<') + std::count(text.begin(), text.end(), '=');
  return static_cast<size_t>(marks);
}

}  // namespace

Limits limits_of(std::string_view method) {
  if (method == "QueryChangedDiskAreas") return changed_areas;
  if (method.starts_with("Retrieve") || method.starts_with("ContinueRetrieve")) return properties;
  return usual;
}

Reply::Reply(long http_status, std::string body, const Limits &limits, const std::string &what)
    : text_(std::make_unique<std::string>(std::move(body))),
      document_(std::make_unique<pugi::xml_document>()) {
  if (count_tags(*text_) > limits.tags) {
    util::fail(EPROTO, "{}: the answer has more than {} elements, which no server needs for it",
               what, limits.tags);
  }
  pugi::xml_parse_result parsed = document_->load_buffer_inplace(text_->data(), text_->size());
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
