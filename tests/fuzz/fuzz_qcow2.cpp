// SPDX-License-Identifier: BSD-3-Clause
//
// Hostile images: opened to be read; opened, read, written to as the end of the input says,
// compared with a model, closed, and opened again: what was once accepted must then be an image.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "common/util/fd.hpp"
#include "plugins/qcow2/open.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

constexpr uint64_t most = 1u << 20;  // bytes of the disk that are looked at

// Of a layer or an image.
template <typename D>
std::vector<std::byte> content(const D &disk) {
  std::vector<std::byte> buffer(std::min(disk.size(), most));
  disk.read(buffer, 0);
  uint64_t end = 0;
  disk.extents({0, buffer.size()}, [&](const extents::Extent &extent) {
    fuzz::require(extent.offset == end && extent.length > 0);
    bool zero = (extent.type & extents::zero) != 0;
    for (; end < extent.end(); ++end) fuzz::require(!zero || buffer[end] == std::byte{0});
    return true;
  });
  fuzz::require(end == buffer.size());
  return buffer;
}

// Four bytes each: what, where (two), how long.
void change(qcow2::Image &image, std::vector<std::byte> &model, std::span<const uint8_t> commands) {
  for (; commands.size() >= 4 && !model.empty(); commands = commands.subspan(4)) {
    uint64_t offset = (commands[1] * 256u + commands[2]) * 16u % model.size();
    uint64_t length =
        std::min<uint64_t>((commands[3] + 1u) * (commands[0] & 8 ? 300 : 1), model.size() - offset);
    auto at = model.begin() + static_cast<std::ptrdiff_t>(offset);
    auto end = at + static_cast<std::ptrdiff_t>(length);
    switch (commands[0] % 8) {
      case 0:
        std::fill(at, end, std::byte{0});
        image.zero(offset, length);
        break;
      case 1:
        image.trim(offset, length);
        image.read({at, end}, offset);  // whole clusters are zero now
        break;
      case 2:
        image.flush();
        break;
      case 3:
        image.finalise();
        break;
      default:
        std::fill(at, end, std::byte{commands[3]});
        image.write({at, end}, offset);
    }
    std::vector<std::byte> back(length);
    image.read(back, offset);
    fuzz::require(std::equal(back.begin(), back.end(), at));
  }
}

void open_and_change(std::span<const uint8_t> input,
                     std::optional<qcow2::Compression> compression) {
  util::Fd file(::memfd_create("image", MFD_CLOEXEC));
  std::string path = "/proc/self/fd/" + std::to_string(file.get());
  util::write_at(file, std::as_bytes(input), 0, path);
  qcow2::Settings settings;
  settings.path = path;
  settings.create = qcow2::Create::never;
  settings.l2_cache_bytes = 1;

  fuzz::may_refuse([&] { content(*qcow2::open_read_only(settings)); });
  settings.compression = compression;
  std::unique_ptr<qcow2::Image> image;
  fuzz::may_refuse([&] { image = qcow2::open_image(settings, util::Log()); });
  if (!image) return;
  bool done = false;
  std::vector<std::byte> model;
  // What is compressed may be damaged, and then cannot be read, nor written over in part.
  fuzz::may_refuse([&] {
    model = content(*image);
    change(*image, model, input.last(std::min<size_t>(input.size(), 48)));
    image->finalise();
    done = true;
  });
  if (!done) return;
  image.reset();
  settings.compression.reset();
  fuzz::require(content(*qcow2::open_read_only(settings)) == model);
  fuzz::require(content(*qcow2::open_image(settings, util::Log())) == model);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using qcow2::CompressionType;
  open_and_change({data, size}, {});
  // One of the types is not the image's, and refused.
  open_and_change({data, size}, qcow2::Compression{CompressionType::zlib, 1});
  open_and_change({data, size}, qcow2::Compression{CompressionType::zstd, 1});
  return 0;
}
