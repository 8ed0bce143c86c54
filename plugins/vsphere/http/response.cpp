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

// The value of the header `name`; nothing if the line is another header.
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

void ResponseReceiver::on_header(std::string_view line) {
  while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) {
    line.remove_suffix(1);
  }
  if (line.starts_with("HTTP/")) {  // what came before was a 100 Continue
    response_.cookies.clear();
    response_.content_range.clear();
  } else if (auto cookie = value_of(line, "Set-Cookie")) {
    response_.cookies.emplace_back(cookie->substr(0, cookie->find(';')));
  } else if (auto range = value_of(line, "Content-Range")) {
    response_.content_range = *range;
  }
}

size_t ResponseReceiver::on_body(long status, std::string_view data) {
  bool ranged = !request_.into.empty();
  if (ranged && status == 206) {
    if (data.size() > request_.into.size() - response_.received) return cut_off();
    std::memcpy(request_.into.data() + response_.received, data.data(), data.size());
    response_.received += data.size();
    return data.size();
  }
  if (ranged && status == 200) return cut_off();
  if (data.size() > request_.max_body - response_.body.size()) return cut_off();
  response_.body.append(data);
  return data.size();
}

size_t ResponseReceiver::cut_off() {
  response_.cut = true;
  return 0;
}

HttpResponse ResponseReceiver::take(long status) {
  response_.status = status;
  return std::move(response_);
}

}  // namespace vsphere
