// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/soap.hpp"

#include <cerrno>
#include <charconv>

#include "common/util/error.hpp"

namespace vsphere::soap {

namespace {

std::string_view local_part(std::string_view name) {
  auto colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

bool is_named(pugi::xml_node node, std::string_view name) {
  return node.type() == pugi::node_element && local_part(node.name()) == name;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string element(std::string_view name, std::string_view text) {
  return fmt::format("<{}>{}</{}>", name, escape(text), name);
}

std::string element(std::string_view name, const Ref &ref) {
  return fmt::format("<{} type=\"{}\">{}</{}>", name, escape(ref.type), escape(ref.value), name);
}

std::string envelope(std::string_view method, const Ref &self, std::string_view arguments) {
  return fmt::format(
      R"(<?xml version="1.0" encoding="UTF-8"?>)"
      R"(<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/")"
      R"( xmlns:xsd="http://www.w3.org/2001/XMLSchema")"
      R"( xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>)"
      R"(<{} xmlns="urn:vim25">{}{}</{}></soapenv:Body></soapenv:Envelope>)",
      method, element("_this", self), arguments, method);
}

pugi::xml_node child(pugi::xml_node parent, std::string_view name) {
  for (pugi::xml_node node : parent.children()) {
    if (is_named(node, name)) return node;
  }
  return {};
}

std::vector<pugi::xml_node> children(pugi::xml_node parent, std::string_view name) {
  std::vector<pugi::xml_node> found;
  for (pugi::xml_node node : parent.children()) {
    if (is_named(node, name)) found.push_back(node);
  }
  return found;
}

std::string text(pugi::xml_node parent, std::string_view name) {
  return child(parent, name).text().get();
}

std::string xsi_type(pugi::xml_node node) {
  for (pugi::xml_attribute attribute : node.attributes()) {
    std::string_view name = attribute.name();
    if (name.find(':') != std::string_view::npos && local_part(name) == "type") {
      return std::string(local_part(attribute.value()));
    }
  }
  return "";
}

Ref ref(pugi::xml_node node) {
  if (!node) return {};
  return {node.attribute("type").value(), node.text().get()};
}

uint64_t number(pugi::xml_node parent, std::string_view name) {
  std::string value = text(parent, name);
  uint64_t result = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (error != std::errc() || end != value.data() + value.size() || result > INT64_MAX) {
    util::fail(EPROTO, "the server's answer has \"{}\" where {} must be a number", value, name);
  }
  return result;
}

}  // namespace vsphere::soap
