// SPDX-License-Identifier: BSD-3-Clause
//
// What nbdkit MODULE --dump-plugin tells of a module beside what nbdkit knows: lines KEY=VALUE, whose keys begin
// with the module's name (nbdkit-plugin(3), nbdkit-filter(3)).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nbdkit {

// Name, version.
using Libraries = std::vector<std::pair<std::string, std::string>>;

// The names of the parameters in a module's help, in its order, with commas.
std::string parameters_in_help(std::string_view help);

// Prints the module's version, its parameters, and the versions of the libraries that it uses.
void print_dump(std::string_view module, std::string_view help, const Libraries &libraries);

// nbdkit has it for filters since 1.36.
template <typename Filter>
void set_dump_plugin(Filter &filter, void (*print)()) {
  if constexpr (requires { filter.dump_plugin = print; }) {
    filter.dump_plugin = print;
  } else {
    static_cast<void>(print);
  }
}

// The libraries of a module that tells them.
template <typename Module>
Libraries libraries_of() {
  if constexpr (requires { Module::libraries(); }) {
    return Module::libraries();
  } else {
    return {};
  }
}

// Of a module's class.
template <typename Module>
void print_dump() {
  print_dump(Module::name, Module::config_help, libraries_of<Module>());
}

}  // namespace nbdkit
