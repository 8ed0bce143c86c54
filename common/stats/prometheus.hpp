// SPDX-License-Identifier: BSD-3-Clause
//
// Counters in Prometheus' text format, version 0.0.4, as the textfile collector of node_exporter
// reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stats {

// Builds the text: each metric once, its samples right after it. Names keep to the conventions:
// nbdkit_MODULE_WHAT, units in full, "_total" at the end of what only grows.
class Prometheus {
 public:
  Prometheus &counter(std::string_view name, std::string_view help) {
    return metric(name, "counter", help);
  }
  Prometheus &gauge(std::string_view name, std::string_view help) {
    return metric(name, "gauge", help);
  }
  // A value of the last metric; with a label, one of several.
  Prometheus &sample(uint64_t value);
  Prometheus &sample(std::string_view label, std::string_view label_value, uint64_t value);

  const std::string &text() const { return text_; }

 private:
  Prometheus &metric(std::string_view name, std::string_view type, std::string_view help);
  std::string name_;
  std::string text_;
};

}  // namespace stats
