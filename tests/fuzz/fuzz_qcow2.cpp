// SPDX-License-Identifier: BSD-3-Clause
//
// Images that lie: opened, read, asked for extents, written to, closed, and opened again.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "common/util/fd.hpp"
#include "plugins/qcow2/open.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

constexpr uint64_t most = 1u << 20;  // bytes of the disk that are looked at

void use(qcow2::Image &image) {
  std::vector<std::byte> buffer(std::min(image.size(), most));
  fuzz::may_refuse([&] { image.read(buffer, 0); });
  uint64_t end = 0;
  fuzz::may_refuse([&] {
    image.extents({0, buffer.size()}, [&](const extents::Extent &extent) {
      fuzz::require(extent.offset == end && extent.length > 0);
      end = extent.end();
      return true;
    });
  });
  std::array<std::byte, 700> data;
  data.fill(std::byte{0x5a});
  uint64_t count = std::min<uint64_t>(image.size(), data.size());
  fuzz::may_refuse([&] {
    image.write(std::span(data).first(count), 0);
    image.zero(0, count / 2);
    image.flush();
    std::vector<std::byte> back(count);
    image.read(back, 0);
    for (size_t i = 0; i < count; ++i) {
      fuzz::require(back[i] == (i < count / 2 ? std::byte{0} : data[i]));
    }
  });
  image.finalise();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  util::Fd file(::memfd_create("image", MFD_CLOEXEC));
  std::string path = "/proc/self/fd/" + std::to_string(file.get());
  util::write_at(file, std::as_bytes(std::span(data, size)), 0, path);
  qcow2::Options options;
  options.path = path;
  options.create = qcow2::Create::never;
  for (int time = 0; time < 2; ++time) {
    fuzz::may_refuse([&] { use(*qcow2::open_image(options, util::Log())); });
  }
  return 0;
}
