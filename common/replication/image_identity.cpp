// SPDX-License-Identifier: BSD-3-Clause
#include "common/replication/image_identity.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace replication {

bool ImageIdentity::is_or_lies_over(std::string_view other) const {
  return uuid == other || std::find(below.begin(), below.end(), other) != below.end();
}

bool ImageIdentity::is_of(std::string_view other) const {
  return cut ? other.starts_with(checkpoint) : other == checkpoint;
}

std::string format(const ImageIdentity &identity) {
  nlohmann::ordered_json line = {
      {"nbdkit-replicate-image", 1}, {"image", identity.uuid}, {"below", identity.below}};
  if (identity.complete) line["complete"] = *identity.complete;
  if (!identity.checkpoint.empty()) {
    line["checkpoint"] = identity.checkpoint;
    if (identity.cut) line["cut"] = true;
  }
  if (identity.sealed_by_flush) line["seal"] = "flush";
  // A checkpoint that was cut within a character ends before that.
  return line.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::ignore);
}

std::optional<ImageIdentity> parse_image_identity(std::string_view text) {
  auto line = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!line.is_object() || line.value("nbdkit-replicate-image", nlohmann::json()) != 1) {
    return std::nullopt;
  }
  auto image = line.find("image");
  if (image == line.end() || !image->is_string()) return std::nullopt;
  ImageIdentity identity{.uuid = image->get<std::string>(), .below = {}};
  if (auto below = line.find("below"); below != line.end() && below->is_array()) {
    for (const auto &uuid : *below) {
      if (uuid.is_string()) identity.below.push_back(uuid.get<std::string>());
    }
  }
  if (auto complete = line.find("complete"); complete != line.end() && complete->is_boolean()) {
    identity.complete = complete->get<bool>();
  }
  if (auto checkpoint = line.find("checkpoint");
      checkpoint != line.end() && checkpoint->is_string()) {
    identity.checkpoint = checkpoint->get<std::string>();
  }
  identity.cut = line.value("cut", nlohmann::json()) == true;
  identity.sealed_by_flush = line.value("seal", nlohmann::json()) == "flush";
  return identity;
}

}  // namespace replication
