// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/parameters.hpp"

#include <bit>
#include <cerrno>
#include <cstdint>
#include <limits>

#include "common/nbdkit/params.hpp"
#include "common/util/error.hpp"
#include "plugins/qcow2/format/header.hpp"

namespace qcow2 {

bool Parameters::set(const std::string &key, const std::string &value) {
  if (key == "file") {
    settings.path = nbdkit::absolute_path(value);
  } else if (key == "create") {
    settings.create = Create(nbdkit::parse_choice(key, value, {"auto", "always", "never"}));
  } else if (key == "compress") {
    compress_ = nbdkit::parse_choice(key, value, {"none", "zlib", "zstd"});
  } else if (key == "compress-level") {
    level_ = nbdkit::parse_unsigned(key, value, 1, max_level(CompressionType::zstd));
  } else if (key == "detect-zeroes") {
    settings.detect_zeroes = nbdkit::parse_bool(key, value);
  } else if (key == "read-only") {
    settings.read_only = nbdkit::parse_bool(key, value);
  } else if (key == "seal") {
    set_seal(value);
  } else if (key == "state") {
    state_ = nbdkit::absolute_path(value);
  } else if (key == "lock") {
    settings.lock = nbdkit::parse_bool(key, value);
  } else if (key == "l2-cache") {
    settings.l2_cache_bytes = nbdkit::parse_size(key, value, 1u << 20, uint64_t{4} << 30);
  } else {
    return set_for_new_image(key, value);
  }
  return true;
}

void Parameters::set_seal(const std::string &value) {
  settings.state.clear();
  if (!value.starts_with('@')) {
    settings.seal = nbdkit::parse_bool("seal", value);
    return;
  }
  if (value.size() == 1) util::fail(EINVAL, "seal=@: must be seal=on, seal=off or seal=@STATEFILE");
  settings.seal = true;
  settings.state = nbdkit::absolute_path(value.substr(1));
}

bool Parameters::set_for_new_image(const std::string &key, const std::string &value) {
  if (key == "size") {
    settings.size = nbdkit::parse_size(key, value, sector, std::numeric_limits<int64_t>::max());
  } else if (key == "cluster-size") {
    settings.cluster_size =
        nbdkit::parse_size(key, value, 1u << min_cluster_bits, 1u << max_cluster_bits);
    if (!std::has_single_bit(*settings.cluster_size)) {
      util::fail(EINVAL, "cluster-size={}: must be a power of two between 512 and 2M", value);
    }
  } else if (key == "backing" && value == "auto") {
    settings.follow_backing = true;
  } else if (key == "backing") {
    settings.backing = nbdkit::absolute_path(value);
  } else if (key == "backing-format") {
    settings.backing_format =
        nbdkit::parse_choice(key, value, {"raw", "qcow2"}) == 0 ? "raw" : "qcow2";
  } else if (key == "preallocate") {
    settings.preallocate =
        Preallocate(nbdkit::parse_choice(key, value, {"off", "metadata", "falloc"}));
  } else {
    return false;
  }
  return true;
}

void Parameters::complete() {
  if (settings.path.empty()) util::fail(EINVAL, "file= is required: the image to write");
  if (!state_.empty()) {
    if (!settings.state.empty() && settings.state != state_) {
      util::fail(EINVAL, "seal=@{} and state={} are not the same file: leave one of them out",
                 settings.state, state_);
    }
    settings.state = state_;
  }
  check_backing();
  complete_compression();
  if (settings.read_only) check_read_only();
}

void Parameters::check_backing() const {
  if (settings.backing && settings.backing_format.empty()) {
    util::fail(EINVAL,
               "backing-format=raw or backing-format=qcow2 is required with backing=: the "
               "format is never guessed");
  }
  if (!settings.backing && !settings.backing_format.empty()) {
    util::fail(EINVAL,
               "backing-format={} cannot be used without backing=", settings.backing_format);
  }
  if (settings.backing && settings.preallocate != Preallocate::off) {
    util::fail(EINVAL, "preallocate= cannot be used with backing={}: it would hide that file",
               *settings.backing);
  }
}

void Parameters::complete_compression() {
  if (compress_ == 0) {
    if (level_) {
      util::fail(EINVAL, "compress-level={} cannot be used without compress=zlib or zstd", *level_);
    }
    return;
  }
  auto type = compress_ == 1 ? CompressionType::zlib : CompressionType::zstd;
  int level = level_ ? static_cast<int>(*level_) : default_level(type);
  if (level > max_level(type)) {
    util::fail(EINVAL, "compress-level={}: must be between {} and {} with compress={}", level,
               min_level(type), max_level(type), name_of(type));
  }
  if (settings.preallocate != Preallocate::off) {
    util::fail(EINVAL,
               "preallocate= cannot be used with compress={}: clusters that are allocated are "
               "written uncompressed",
               name_of(type));
  }
  settings.compression = Compression{type, level};
}

void Parameters::check_read_only() const {
  if (settings.compression) {
    util::fail(EINVAL,
               "read-only=on cannot be used with compress={}: compressed clusters are read "
               "without it",
               name_of(settings.compression->type));
  }
  if (settings.create == Create::always || settings.is_tracked()) {
    util::fail(EINVAL, "read-only=on cannot be used with {}",
               settings.seal           ? "seal=on or seal=@STATEFILE"
               : settings.is_tracked() ? "state="
                                       : "create=always");
  }
}

}  // namespace qcow2
