// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <pugixml.hpp>
#include <string>
#include <string_view>

namespace vsphere::soap {

// The answer to a call. It owns the XML: nodes of it must not be used when it is gone.
class Reply {
 public:
  // `what` was called, for messages. Throws FaultError if the answer is a fault, util::Error EPROTO if
  // it is not an answer of the API.
  Reply(long http_status, std::string_view body, const std::string &what);

  // The element <MethodResponse>; a null node if the body is empty.
  pugi::xml_node response() const { return response_; }

 private:
  std::unique_ptr<pugi::xml_document> document_;
  pugi::xml_node response_;
};

}  // namespace vsphere::soap
