// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/entity_name.hpp"

namespace vsphere {

std::string decode_entity_name(std::string_view name) {
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

}  // namespace vsphere
