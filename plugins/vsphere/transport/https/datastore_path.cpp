// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/datastore_path.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "common/util/error.hpp"

namespace vsphere {

namespace {

constexpr std::string_view end_of_name = "] ";

// The offsets at which the name of the datastore may end: before each "] " that text follows.
std::vector<size_t> possible_ends(const std::string &text) {
  std::vector<size_t> ends;
  if (!text.starts_with('[')) return ends;
  for (size_t at = text.find(end_of_name, 1); at != std::string::npos;
       at = text.find(end_of_name, at + 1)) {
    if (at + end_of_name.size() < text.size()) ends.push_back(at);
  }
  return ends;
}

// Decodes ManagedEntity.name, which has '%', '/' and '\' as %25, %2f and %5c. Datastore paths may
// have either form.
std::string unescaped(std::string_view name) {
  std::string out;
  for (size_t at = 0; at < name.size();) {
    std::string_view escape = name.substr(at, 3);
    char c = escape == "%25"                      ? '%'
             : escape == "%2f" || escape == "%2F" ? '/'
             : escape == "%5c" || escape == "%5C" ? '\\'
                                                  : '\0';
    out += c == '\0' ? name[at] : c;
    at += c == '\0' ? 1 : escape.size();
  }
  return out;
}

// Returns the end at which one of the names ends; the longest name wins.
size_t end_of_known(const std::string &text, const std::vector<size_t> &ends,
                    const std::vector<std::string> &names) {
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    const std::string name = unescaped(text.substr(1, *end - 1));
    auto fits = [&](const std::string &known) { return unescaped(known) == name; };
    if (std::any_of(names.begin(), names.end(), fits)) return *end;
  }
  std::string list;
  for (const auto &name : names) list += (list.empty() ? "\"" : ", \"") + name + "\"";
  util::fail(EPROTO, "the server names a disk's file \"{}\", but the datastores it can be on {}",
             text, list.empty() ? "have no name" : "are called " + list);
}

}  // namespace

DatastorePath DatastorePath::sibling(const std::string &file) const {
  DatastorePath other = *this;
  auto slash = path.rfind('/');
  other.path = slash == std::string::npos ? file : path.substr(0, slash + 1) + file;
  return other;
}

DatastorePath parse_datastore_path(const std::string &text, const std::string &datacenter,
                                   const DatastoreNames &names) {
  std::vector<size_t> ends = possible_ends(text);
  if (ends.empty()) {
    util::fail(EPROTO, "the server names a disk's file \"{}\", which is not a datastore path",
               text);
  }
  size_t end = ends.size() == 1 ? ends.front() : end_of_known(text, ends, names());
  return {datacenter, text.substr(1, end - 1), text.substr(end + end_of_name.size())};
}

}  // namespace vsphere
