// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbdkit/dump.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace nbdkit {

namespace {

// "apply-from" of "apply-from=<URI>   (required) ..." and of "[file=]<FILE>"; empty: a line that continues another.
std::string_view parameter_of(std::string_view line) {
  if (line.starts_with('[')) line.remove_prefix(1);
  const std::string_view name = line.substr(0, line.find('='));
  const bool is_name = name.size() < line.size() && std::ranges::all_of(name, [](unsigned char c) {
                         return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '-';
                       });
  return is_name ? name : std::string_view();
}

}  // namespace

std::string parameters_in_help(std::string_view help) {
  std::string out;
  while (!help.empty()) {
    const std::string_view line = help.substr(0, help.find('\n'));
    help.remove_prefix(std::min(line.size() + 1, help.size()));
    const std::string_view name = parameter_of(line);
    if (!name.empty()) out.append(out.empty() ? "" : ",").append(name);
  }
  return out;
}

void print_dump(std::string_view module, std::string_view help, const Libraries &libraries) {
  const std::string name(module);
  std::printf("%s_version=%s\n", name.c_str(), REPLICATE_VERSION);
  std::printf("%s_parameters=%s\n", name.c_str(), parameters_in_help(help).c_str());
  for (const auto &[library, version] : libraries) {
    std::printf("%s_%s=%s\n", name.c_str(), library.c_str(), version.c_str());
  }
}

}  // namespace nbdkit
