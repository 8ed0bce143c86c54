// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/source/nbd_source.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <thread>
#include <utility>

#include "common/nbd/pool.hpp"
#include "common/util/error.hpp"
#include "filters/apply/source/aligned_reads.hpp"

namespace apply {

namespace {

class NbdBytes : public DiskBytes {
 public:
  NbdBytes(const std::string &uri, const Timeouts &timeouts, ReconnectingPool::Check check)
      : pool_(uri, timeouts, std::move(check)) {}
  void connect() { pool_.info(); }
  void read(std::span<const DiskRead> reads) override {
    if (reads.empty()) return;
    pool_.with([&](nbd::Pool &pool) { read_aligned(pool, reads); });
  }

 private:
  ReconnectingPool pool_;
};

}  // namespace

NbdSource::NbdSource(std::string uri, const Timeouts &timeouts, util::Log log)
    : uri_(std::move(uri)), timeouts_(timeouts), log_(std::move(log)) {}

DeltaView NbdSource::load() {
  // nbdkit sends a map in pieces of 8 bytes; with several connections several of its threads do so.
  constexpr unsigned connections = 4;
  ReconnectingPool pool(
      uri_, timeouts_, [](const nbd::Info &) {}, connections, log_);
  DeltaView view;
  pool.with([&](nbd::Pool &p) {
    view = {{}, p.info().description};
    p.read_map([&](const extents::Extent &e) { append(view, e, uri_); });
  });
  return view;
}

std::unique_ptr<DiskBytes> NbdSource::connect(const DeltaView &view) {
  auto bytes = std::make_unique<NbdBytes>(uri_, timeouts_, shows(view));
  bytes->connect();
  return bytes;
}

std::unique_ptr<DiskBytes> NbdSource::honest(const DeltaView &view) {
  return std::make_unique<NbdBytes>(honest_uri(uri_), timeouts_, shows(view));
}

void NbdSource::confirm(const DeltaView &view) {
  const auto deadline = std::chrono::steady_clock::now() + timeouts_.connect;
  for (;;) {
    try {
      ReconnectingPool(uri_, timeouts_, shows(view)).info();
      return;
    } catch (const util::Error &e) {
      if (e.errnum() == ESTALE || std::chrono::steady_clock::now() >= deadline) throw;
    }
    std::this_thread::sleep_for(timeouts_.pause);
  }
}

ReconnectingPool::Check NbdSource::shows(const DeltaView &view) const {
  return [this, &view](const nbd::Info &info) {
    if (info.size == view.map.size() && info.description == view.description) return;
    util::fail(ESTALE,
               "apply-from={}: the source is not the one that was there at the start "
               "(then {} bytes, \"{}\"; now {} bytes, \"{}\")",
               uri_, view.map.size(), view.description, info.size, info.description);
  };
}

std::string honest_uri(const std::string &uri) {
  size_t question = std::min(uri.find('?'), uri.size());
  size_t host = uri.find("://") + 3;
  size_t slash = std::min(uri.find('/', host), question);
  std::string path = slash < question ? uri.substr(slash + 1, question - slash - 1) : "";
  return uri.substr(0, slash) + "/honest" + (path.empty() ? "" : "/" + path) + uri.substr(question);
}

}  // namespace apply
