// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/source/reconnecting_pool.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <thread>
#include <utility>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/nbd/batch.hpp"
#include "common/nbd/uri.hpp"
#include "common/util/error.hpp"

namespace apply {

namespace {

nbd::Options options_for(std::string uri, const Timeouts &timeouts) {
  nbd::Options options;
  options.name = "apply-from=" + nbd::name_of_uri(uri);
  options.uri = std::move(uri);
  options.connect_timeout = timeouts.connect;
  options.request_timeout = timeouts.request;
  options.extents = true;
  return options;
}

// In whole blocks of the server. (A disk that ends within one does not keep its own rule: there the
// end of the disk is the end.)
extents::Range aligned(const Read &read, const nbd::Info &info) {
  uint64_t block = info.minimum_block;
  uint64_t start = read.offset / block * block;
  uint64_t end = read.offset + read.buffer.size();
  end = std::min((end + block - 1) / block * block, info.size);
  return {start, end - start};
}

void read_all(nbd::Pool &pool, std::span<const Read> reads) {
  std::vector<std::vector<std::byte>> whole(reads.size());
  std::vector<extents::Range> ranges;
  {
    nbd::Batch batch;
    for (size_t i = 0; i < reads.size(); ++i) {
      std::span<std::byte> to = reads[i].buffer;
      ranges.push_back(aligned(reads[i], pool.info()));
      if (ranges[i].length != to.size()) {
        whole[i].resize(ranges[i].length);
        to = whole[i];
      }
      for (uint64_t at = ranges[i].offset; !to.empty();) {
        auto part = to.first(std::min<size_t>(to.size(), pool.info().maximum_block));
        batch.read(pool.least_busy(), part, at);
        at += part.size();
        to = to.subspan(part.size());
      }
    }
    if (int errnum = batch.wait(); errnum != 0) {
      util::fail_os(errnum, "{}: cannot read at offset {}", pool.name(), reads.front().offset);
    }
  }
  for (size_t i = 0; i < reads.size(); ++i) {
    if (whole[i].empty()) continue;
    auto from = whole[i].begin() + static_cast<ptrdiff_t>(reads[i].offset - ranges[i].offset);
    std::copy_n(from, reads[i].buffer.size(), reads[i].buffer.begin());
  }
}

// No server says these over NBD; they are what a connection answers that is at its end (or will be in
// a moment). ESHUTDOWN is a server's last word.
bool is_lost(const util::Error &e) {
  return e.errnum() == ENOTCONN || e.errnum() == ETIMEDOUT || e.errnum() == ESHUTDOWN;
}

}  // namespace

Link::Link(std::string uri, Timeouts timeouts, Check check, unsigned connections)
    : options_(options_for(std::move(uri), timeouts)),
      pause_(timeouts.pause),
      check_(std::move(check)),
      connections_(connections) {}

void Link::connect() {
  auto pool = std::make_unique<nbd::Pool>(options_, connections_);
  pool_ = std::move(pool);
}

const nbd::Info &Link::info() {
  if (!pool_) {
    try {
      connect();
    } catch (const util::Error &) {
      std::this_thread::sleep_for(pause_);
      connect();
    }
    try {
      check_(pool_->info());
    } catch (...) {
      pool_.reset();
      throw;
    }
  }
  return pool_->info();
}

void Link::with(const std::function<void(nbd::Pool &)> &f) {
  info();
  try {
    return f(*pool_);
  } catch (const util::Error &e) {
    if (!is_lost(e)) throw;
  }
  pool_.reset();
  info();
  try {
    f(*pool_);
  } catch (const util::Error &e) {
    if (!is_lost(e)) throw;
    pool_.reset();
    util::fail(e.errnum(), "{} (the second time: the connection had been lost before)", e.what());
  }
}

void Link::read(std::span<const Read> reads) {
  if (reads.empty()) return;
  with([&](nbd::Pool &pool) { read_all(pool, reads); });
}

}  // namespace apply
