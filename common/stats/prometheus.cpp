// SPDX-License-Identifier: BSD-3-Clause
#include "common/stats/prometheus.hpp"

#include <fmt/format.h>

namespace stats {

namespace {

// A label's value, as the text format wants it quoted.
std::string quoted(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

Prometheus &Prometheus::metric(std::string_view name, std::string_view type,
                               std::string_view help) {
  name_ = name;
  text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  return *this;
}

Prometheus &Prometheus::sample(uint64_t value) {
  text_ += fmt::format("{} {}\n", name_, value);
  return *this;
}

Prometheus &Prometheus::sample(std::string_view label, std::string_view label_value,
                               uint64_t value) {
  text_ += fmt::format("{}{{{}=\"{}\"}} {}\n", name_, label, quoted(label_value), value);
  return *this;
}

}  // namespace stats
