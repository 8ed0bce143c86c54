// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/source/source.hpp"

#include "filters/apply/source/map_file_source.hpp"
#include "filters/apply/source/nbd_source.hpp"

namespace apply {

bool is_uri(const std::string &value) {
  return value.find("://") != std::string::npos;
}

std::unique_ptr<Source> make_source(const std::string &value, const Timeouts &timeouts,
                                    const util::Log &log) {
  if (is_uri(value)) return std::make_unique<NbdSource>(value, timeouts, log);
  return std::make_unique<MapFileSource>(value);
}

}  // namespace apply
