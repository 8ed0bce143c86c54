// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <memory>
#include <pugixml.hpp>
#include <string>
#include <string_view>

namespace vsphere::soap {

// How large an answer may be. The parsed form has 64 bytes for each element or text and 40 for each
// attribute, whatever they are in the answer ("<a/>" has four), so these are limited too.
struct Limits {
  size_t bytes;
  size_t tags;  // and attributes: what can be counted without parsing
};

// Most answers have a few hundred bytes. The properties of a virtual machine, and those of many, have more;
// a page of QueryChangedDiskAreas has up to some thousand areas.
Limits limits_of(std::string_view method);

// The answer to a call. It owns the XML: nodes of it must not be used when it is gone.
class Reply {
 public:
  // `what` was called, for messages. Throws FaultError if the answer is a fault, util::Error EPROTO if
  // it is not an answer of the API, or has more tags than the limit.
  Reply(long http_status, std::string body, const Limits &limits, const std::string &what);

  // The element <MethodResponse>; a null node if the body is empty.
  pugi::xml_node response() const { return response_; }

 private:
  std::unique_ptr<std::string> text_;  // the nodes refer to it
  std::unique_ptr<pugi::xml_document> document_;
  pugi::xml_node response_;
};

}  // namespace vsphere::soap
