// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/source/source.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "common/extents/map_json.hpp"
#include "common/nbd/pool.hpp"
#include "common/util/error.hpp"
#include "common/util/zero.hpp"

namespace apply {

using extents::Range;

namespace {

// Where honest extents are taken for the view, what has become a hole would stay as it was. HOLE
// alone is their mark: no view has it.
void append(View &view, const extents::Extent &e, const std::string &name) {
  if (e.type == extents::hole) {
    util::fail(
        EINVAL,
        "apply-from={}: this is not a delta view, for it has a hole that is not zero at offset "
        "{}: put nbdkit-delta-filter over the source, and do not use its export \"honest\"",
        name, e.offset);
  }
  view.mask.append(e.length, e.type);
}

class NbdReader : public Reader {
 public:
  NbdReader(const std::string &uri, const Timeouts &timeouts, Link::Check check)
      : link_(uri, timeouts, std::move(check)) {
    link_.info();
  }

  std::vector<bool> are_zero(std::span<const Range> ranges) override {
    std::vector<std::vector<std::byte>> buffers;
    std::vector<Read> reads;
    for (const Range &range : ranges) {
      reads.push_back({range.offset, buffers.emplace_back(range.length)});
    }
    link_.read(reads);
    std::vector<bool> answers;
    for (const auto &buffer : buffers) answers.push_back(util::is_zero(buffer));
    return answers;
  }

 private:
  Link link_;
};

class NbdBytes : public Bytes {
 public:
  NbdBytes(const std::string &uri, const Timeouts &timeouts, Link::Check check)
      : link_(uri, timeouts, std::move(check)) {}
  void read(std::span<const Read> reads) override { link_.read(reads); }

 private:
  Link link_;
};

class NbdSource : public Source {
 public:
  NbdSource(std::string uri, const Timeouts &timeouts)
      : uri_(std::move(uri)), timeouts_(timeouts) {}
  const std::string &name() const override { return uri_; }

  View load() override {
    View view;
    // nbdkit sends a map in pieces of 8 bytes: several connections, several of its threads.
    constexpr unsigned connections = 4;
    Link(
        uri_, timeouts_, [](const nbd::Info &) {}, connections)
        .with([&](nbd::Pool &pool) {
          view = {{}, pool.info().description};
          pool.read_map([&](const extents::Extent &e) { append(view, e, uri_); });
        });
    return view;
  }

  std::unique_ptr<Reader> connect(const View &view) override {
    return std::make_unique<NbdReader>(uri_, timeouts_, same_as(view));
  }

  std::unique_ptr<Bytes> honest(const View &view) override {
    return std::make_unique<NbdBytes>(honest_uri(uri_), timeouts_, same_as(view));
  }

 private:
  Link::Check same_as(const View &view) const {
    return [this, &view](const nbd::Info &info) {
      if (info.size == view.mask.size() && info.description == view.description) return;
      util::fail(ESTALE,
                 "apply-from={}: the source is not the one that was there at the start any more "
                 "(then {} bytes, \"{}\"; now {} bytes, \"{}\")",
                 uri_, view.mask.size(), view.description, info.size, info.description);
    };
  }

  const std::string uri_;
  const Timeouts timeouts_;
};

class FileSource : public Source {
 public:
  explicit FileSource(std::string path) : path_(std::move(path)) {}
  const std::string &name() const override { return path_; }

  View load() override {
    View view;
    extents::load_map(path_, "apply-from=" + path_,
                      [&](const extents::Extent &e) { append(view, e, path_); });
    return view;
  }

  std::unique_ptr<Reader> connect(const View &) override { return nullptr; }
  std::unique_ptr<Bytes> honest(const View &) override { return nullptr; }

 private:
  const std::string path_;
};

}  // namespace

bool is_uri(const std::string &value) {
  return value.find("://") != std::string::npos;
}

std::unique_ptr<Source> make_source(const std::string &value, const Timeouts &timeouts) {
  if (is_uri(value)) return std::make_unique<NbdSource>(value, timeouts);
  return std::make_unique<FileSource>(value);
}

std::string honest_uri(const std::string &uri) {
  size_t question = std::min(uri.find('?'), uri.size());
  size_t host = uri.find("://") + 3;
  size_t slash = std::min(uri.find('/', host), question);
  std::string path = slash < question ? uri.substr(slash + 1, question - slash - 1) : "";
  return uri.substr(0, slash) + "/honest" + (path.empty() ? "" : "/" + path) + uri.substr(question);
}

}  // namespace apply
