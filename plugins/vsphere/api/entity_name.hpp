// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>
#include <string_view>

namespace vsphere {

// Decodes ManagedEntity.name, which has '%', '/' and '\' as %25, %2f and %5c.
std::string decode_entity_name(std::string_view name);

}  // namespace vsphere
