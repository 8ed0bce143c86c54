// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/datastore_path.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/entity_name.hpp"

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

// Returns the end at which one of the names ends; the longest name wins. Datastore paths may have names as the
// inventory has them, or decoded.
size_t end_of_known(const std::string &text, const std::vector<size_t> &ends,
                    const std::vector<std::string> &names) {
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    const std::string name = decode_entity_name(text.substr(1, *end - 1));
    auto fits = [&](const std::string &known) { return decode_entity_name(known) == name; };
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
