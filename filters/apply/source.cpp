// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/source.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>

#include "common/extents/map_json.hpp"
#include "common/nbd/pool.hpp"
#include "common/nbd/uri.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"
#include "common/util/zero.hpp"

namespace apply {

using extents::Range;

namespace {

nbd::Options options_for(const std::string &uri) {
  nbd::Options options;
  options.uri = uri;
  options.name = "apply-from=" + nbd::name_of_uri(uri);
  options.extents = true;
  return options;
}

// Counts requests under way, and keeps the first error.
class Batch {
 public:
  ~Batch() { wait(); }
  nbd::Completion start() {
    std::lock_guard guard(lock_);
    ++left_;
    return [this](int errnum) {
      std::lock_guard guard(lock_);
      if (errnum_ == 0) errnum_ = errnum;
      if (--left_ == 0) done_.notify_all();
    };
  }
  int wait() {
    std::unique_lock guard(lock_);
    done_.wait(guard, [&] { return left_ == 0; });
    return errnum_;
  }

 private:
  std::mutex lock_;  // protects the two below
  std::condition_variable done_;
  size_t left_ = 0;
  int errnum_ = 0;
};

class NbdReader : public Reader {
 public:
  explicit NbdReader(const std::string &uri) : pool_(options_for(uri), 1) {}

  const nbd::Info &info() const { return pool_.info(); }

  std::vector<bool> are_zero(std::span<const Range> ranges) override {
    std::vector<std::vector<std::byte>> buffers(ranges.size());
    Batch batch;
    for (size_t i = 0; i < ranges.size(); ++i) read(ranges[i], buffers[i], batch);
    if (int errnum = batch.wait(); errnum != 0) {
      util::fail_os(errnum, "{}: cannot read at offset {}", pool_.name(), ranges[0].offset);
    }
    std::vector<bool> answers;
    for (size_t i = 0; i < ranges.size(); ++i) {
      size_t skip = ranges[i].offset - aligned(ranges[i]).offset;
      answers.push_back(util::is_zero(std::span(buffers[i]).subspan(skip, ranges[i].length)));
    }
    return answers;
  }

 private:
  // In whole blocks of the server. (A disk that ends within one does not keep its own rule: there
  // the end of the disk is the end.)
  Range aligned(const Range &range) const {
    uint64_t block = info().minimum_block;
    uint64_t start = range.offset / block * block;
    uint64_t end = std::min((range.end() + block - 1) / block * block, info().size);
    return {start, end - start};
  }

  void read(const Range &range, std::vector<std::byte> &buffer, Batch &batch) {
    Range all = aligned(range);
    buffer.resize(all.length);
    for (size_t done = 0; done < buffer.size();) {
      size_t n = std::min<size_t>(buffer.size() - done, info().maximum_block);
      pool_.least_busy().pread(std::span(buffer).subspan(done, n), all.offset + done,
                               batch.start());
      done += n;
    }
  }

  nbd::Pool pool_;
};

// Where honest extents are taken for the view, what has become a hole would stay as it was. HOLE
// alone is their mark: no view has it.
View checked(View view, const std::string &name) {
  view.map.for_each({0, view.map.size()}, [&](const extents::Extent &e) {
    if (e.type != extents::hole) return true;
    util::fail(
        EINVAL,
        "apply-from={}: this is not a delta view, for it has a hole that is not zero at offset "
        "{}: put nbdkit-delta-filter over the source, and do not use its export \"honest\"",
        name, e.offset);
  });
  return view;
}

class NbdSource : public Source {
 public:
  explicit NbdSource(std::string uri) : uri_(std::move(uri)) {}
  const std::string &name() const override { return uri_; }

  View load() override {
    nbd::Pool pool(options_for(uri_), 1);
    return checked({pool.read_map(), pool.info().description}, uri_);
  }

  std::unique_ptr<Reader> connect(const View &view) override {
    auto reader = std::make_unique<NbdReader>(uri_);
    if (reader->info().size != view.map.size() || reader->info().description != view.description) {
      util::fail(ESTALE,
                 "apply-from={}: the source is not the one that was there at the start any more "
                 "(then {} bytes, \"{}\"; now {} bytes, \"{}\")",
                 uri_, view.map.size(), view.description, reader->info().size,
                 reader->info().description);
    }
    return reader;
  }

 private:
  const std::string uri_;
};

class FileSource : public Source {
 public:
  explicit FileSource(std::string path) : path_(std::move(path)) {}
  const std::string &name() const override { return path_; }

  View load() override {
    auto text = util::read_file(path_);
    if (!text) util::fail(ENOENT, "apply-from={}: there is no such file", path_);
    return checked({extents::parse_map(*text, "apply-from=" + path_), ""}, path_);
  }

  std::unique_ptr<Reader> connect(const View &) override { return nullptr; }

 private:
  const std::string path_;
};

}  // namespace

bool is_uri(const std::string &value) {
  return value.find("://") != std::string::npos;
}

std::unique_ptr<Source> make_source(const std::string &value) {
  if (is_uri(value)) return std::make_unique<NbdSource>(value);
  return std::make_unique<FileSource>(value);
}

}  // namespace apply
