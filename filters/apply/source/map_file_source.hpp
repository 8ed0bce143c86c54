// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "common/extents/map_json.hpp"
#include "filters/apply/source/source.hpp"

namespace apply {

// A file with the map, as printed by nbdinfo --map --json. The source's bytes cannot be read.
class MapFileSource : public Source {
 public:
  explicit MapFileSource(std::string path) : path_(std::move(path)) {}
  const std::string &name() const override { return path_; }

  DeltaView load() override {
    DeltaView view;
    extents::load_map(path_, "apply-from=" + path_,
                      [&](const extents::Extent &e) { append(view, e, path_); });
    return view;
  }

  std::unique_ptr<DiskBytes> connect(const DeltaView &) override { return nullptr; }
  std::unique_ptr<DiskBytes> honest(const DeltaView &) override { return nullptr; }
  void confirm(const DeltaView &) override {}

 private:
  const std::string path_;
};

}  // namespace apply
