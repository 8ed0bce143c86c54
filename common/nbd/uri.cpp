// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbd/uri.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>

#include "common/util/percent.hpp"

namespace nbd {

namespace {

bool is_path(std::string_view key) {
  return key == "socket" || key == "tls-certificates" || key == "tls-psk-file";
}

// What may stand in the value of a query as it is: RFC 3986 without "&", which ends it.
constexpr std::string_view path_marks = "/-._~";

bool is_absolute(std::string_view value) {
  return value.starts_with("/") || value.starts_with("%2F") || value.starts_with("%2f");
}

void each_parameter(std::string_view query,
                    const std::function<void(std::string_view key, std::string_view value)> &f) {
  while (!query.empty()) {
    std::string_view one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(one.size() + 1, query.size()));
    size_t equals = one.find('=');
    if (equals == std::string_view::npos) {
      f(one, {});
    } else {
      f(one.substr(0, equals), one.substr(equals + 1));
    }
  }
}

}  // namespace

std::string absolute_uri(std::string_view uri, std::string_view directory) {
  size_t question = uri.find('?');
  if (question == std::string_view::npos) return std::string(uri);
  std::string out(uri.substr(0, question));
  char separator = '?';
  each_parameter(uri.substr(question + 1), [&](std::string_view key, std::string_view value) {
    out += separator;
    separator = '&';
    out += key;
    if (value.data() == nullptr) return;
    out += '=';
    if (is_path(key) && !value.empty() && !is_absolute(value))
      out += util::percent_encode(directory, path_marks) + '/';
    out += value;
  });
  return out;
}

std::string absolute_uri(std::string_view uri) {
  return absolute_uri(uri, std::filesystem::current_path().string());
}

std::string name_of_uri(std::string_view uri) {
  size_t question = uri.find('?');
  std::string_view base = uri.substr(0, question);
  std::string out;
  if (size_t slashes = base.find("://"); slashes != std::string_view::npos) {
    size_t host = slashes + 3;
    size_t end = std::min(base.find('/', host), base.size());
    size_t at = base.substr(0, end).rfind('@');
    out = base.substr(0, host);
    out += base.substr(at == std::string_view::npos || at < host ? host : at + 1);
  } else {
    out = base;
  }
  if (question == std::string_view::npos) return out;
  each_parameter(uri.substr(question + 1), [&](std::string_view key, std::string_view value) {
    if (key == "socket") out.append("?socket=").append(value);
  });
  return out;
}

std::vector<std::pair<std::string, std::string>> uri_parameters(std::string_view uri) {
  std::vector<std::pair<std::string, std::string>> out;
  uri = uri.substr(0, uri.find('#'));
  const size_t question = uri.find('?');
  if (question == std::string_view::npos) return out;
  std::string_view query = uri.substr(question + 1);
  while (!query.empty()) {
    const char separator = query.find('&') != std::string_view::npos ? '&' : ';';
    const std::string_view one = query.substr(0, query.find(separator));
    query.remove_prefix(std::min(one.size() + 1, query.size()));
    const size_t equals = one.find('=');
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : one.substr(equals + 1);
    if (!one.empty())
      out.emplace_back(util::percent_decode(one.substr(0, equals)), util::percent_decode(value));
  }
  return out;
}

}  // namespace nbd
