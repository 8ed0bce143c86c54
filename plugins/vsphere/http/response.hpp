// SPDX-License-Identifier: BSD-3-Clause
//
// An answer as it arrives: its headers, and its body to where the request wants it.
#pragma once

#include <cstddef>
#include <string_view>

#include "plugins/vsphere/http/connection.hpp"

namespace vsphere {

class HttpAnswer {
 public:
  // The request must outlive it.
  explicit HttpAnswer(const HttpRequest &request) : request_(request) {}

  // A line of the head, with its end.
  void on_header(std::string_view line);

  // A piece of the body of an answer of this status. Returns how much of it was taken: all, or 0 where
  // it is not one we want - then cut() is true, and the request ended early on purpose.
  size_t on_body(long status, std::string_view data);

  bool cut() const { return response_.cut; }
  HttpResponse take(long status);

 private:
  size_t refuse();

  const HttpRequest &request_;
  HttpResponse response_;
};

}  // namespace vsphere
