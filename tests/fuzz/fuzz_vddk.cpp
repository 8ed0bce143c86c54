// SPDX-License-Identifier: BSD-3-Clause
//
// What the plugin and its VDDK helper take from each other: messages, and lists of blocks.
#include <cstring>
#include <vector>

#include "plugins/vsphere/transport/vddk/allocated_blocks.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace vsphere::vddk;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view packet(reinterpret_cast<const char *>(data), size);
  fuzz::may_refuse([&] {
    // What is understood says the same when it is sent on (a text may have been cut, a flag be 1).
    std::string once = encode(decode(packet));
    fuzz::require(once.size() <= packet.size() && encode(decode(once)) == once);
  });
  fuzz::may_refuse([&] {
    std::vector<Block> blocks(size / sizeof(Block));
    if (!blocks.empty()) std::memcpy(blocks.data(), data, blocks.size() * sizeof(Block));
    constexpr Block asked = {1024, 1u << 20};
    std::vector<extents::Range> ranges;
    add_blocks(ranges, blocks, asked);
    uint64_t end = asked.offset * sector_size;
    for (const auto &range : ranges) {
      fuzz::require(range.offset >= end && !range.empty());
      end = range.end();
    }
    fuzz::require(end <= (asked.offset + asked.length) * sector_size);
  });
  return 0;
}
