// SPDX-License-Identifier: BSD-3-Clause
//
// One QCOW2 file and what lies below it: reading. The image that is written is one, and so is each
// QCOW2 file of the backing chain.
#pragma once

#include <memory>
#include <string>

#include "common/util/fd.hpp"
#include "plugins/qcow2/bitmap.hpp"
#include "plugins/qcow2/format.hpp"
#include "plugins/qcow2/geometry.hpp"
#include "plugins/qcow2/mapping.hpp"
#include "plugins/qcow2/source.hpp"

namespace qcow2 {

// Reads and checks the header of the file. Throws util::Error.
Header read_header(const util::Fd &fd, const std::string &path);

class Layer : public Source {
 public:
  // Reads all tables. Refuses with util::Error what lies outside the file, is referenced twice, has
  // reserved bits, or is compressed. `used`, if given, must be as long as the file in clusters; the
  // tables and data clusters are added to it. backing may be null.
  Layer(util::Fd fd, std::string path, const Header &header, std::unique_ptr<Source> backing,
        Bitmap *used = nullptr);

  uint64_t size() const override { return geometry.size(); }
  void read(std::span<std::byte> buffer, uint64_t offset) const override;
  bool extents(extents::Range range, const ExtentSink &sink) const override;

  const util::Fd fd;
  const std::string path;
  const Geometry geometry;
  const std::unique_ptr<Source> backing;
  Mapping mapping;

 private:
  uint64_t end_of_run(uint64_t cluster, Entry entry, uint64_t end) const;
};

// The length of a file in bytes, a block device's too. Throws util::Error.
uint64_t file_size(const util::Fd &fd, const std::string &path);

}  // namespace qcow2
