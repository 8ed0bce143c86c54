// SPDX-License-Identifier: BSD-3-Clause
//
// Receives an answer piece by piece: its headers, and its body to where the request wants it.
#pragma once

#include <cstddef>
#include <string_view>

#include "plugins/vsphere/http/connection.hpp"

namespace vsphere {

class ResponseReceiver {
 public:
  // The request must outlive it.
  explicit ResponseReceiver(const HttpRequest &request) : request_(request) {}

  // A line of the header, with its end.
  void on_header(std::string_view line);

  // A piece of the body of an answer with this status. Returns how many bytes were taken: all of them;
  // or 0 to end the transfer, and then cut() is true. It ends if more bytes come than the range
  // or max_body allows, or if the answer to a range has status 200: that is the whole file.
  size_t on_body(long status, std::string_view data);

  bool cut() const { return response_.cut; }
  HttpResponse take(long status);

 private:
  size_t cut_off();

  const HttpRequest &request_;
  HttpResponse response_;
};

}  // namespace vsphere
