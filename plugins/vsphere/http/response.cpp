// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/http/response.hpp"

#include <strings.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>
#include <utility>

namespace vsphere {

namespace {

// The value, if the line is that of the header `name`.
std::optional<std::string_view> value_of(std::string_view line, std::string_view name) {
  if (line.size() <= name.size() || line[name.size()] != ':' ||
      strncasecmp(line.data(), name.data(), name.size()) != 0) {
    return std::nullopt;
  }
  std::string_view value = line.substr(name.size() + 1);
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  return value;
}

}  // namespace

void HttpAnswer::on_header(std::string_view line) {
  while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) {
    line.remove_suffix(1);
  }
  if (line.starts_with("HTTP/")) {  // of the last answer only, not of a 100 Continue
    response_.cookies.clear();
    response_.content_range.clear();
  } else if (auto cookie = value_of(line, "Set-Cookie")) {
    response_.cookies.emplace_back(cookie->substr(0, cookie->find(';')));
  } else if (auto range = value_of(line, "Content-Range")) {
    response_.content_range = *range;
  }
}

size_t HttpAnswer::on_body(long status, std::string_view data) {
  bool ranged = !request_.into.empty();
  if (ranged && status == 206) {
    // More than was asked for is not a range we understand: the caller sees Content-Range.
    if (data.size() > request_.into.size() - response_.received) return refuse();
    std::memcpy(request_.into.data() + response_.received, data.data(), data.size());
    response_.received += data.size();
    return data.size();
  }
  if (ranged && status == 200) return refuse();  // the whole disk would come
  if (data.size() > request_.max_body - response_.body.size()) return refuse();
  response_.body.append(data);
  return data.size();
}

size_t HttpAnswer::refuse() {
  response_.cut = true;
  return 0;
}

HttpResponse HttpAnswer::take(long status) {
  response_.status = status;
  return std::move(response_);
}

}  // namespace vsphere
