// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/dirty_bit.hpp"

#include <cstddef>
#include <utility>
#include <vector>

#include "plugins/qcow2/format/big_endian.hpp"

namespace qcow2 {

LiveHeader::LiveHeader(const ImageFile &file, const Header &header, std::function<void()> sync)
    : file_(file),
      sync_(std::move(sync)),
      state_((header.incompatible & dirty_bit) != 0 ? State::dirty : State::clean),
      header_(header) {}

// Everybody who comes while one thread sets the bit waits for it: no change may overtake it.
void LiveHeader::set_dirty() {
  for (State state = state_.load(); state != State::dirty; state = state_.load()) {
    if (state == State::marking) {
      state_.wait(state);
      continue;
    }
    if (!state_.compare_exchange_strong(state, State::marking)) continue;
    State result = State::clean;
    try {
      header_.incompatible |= dirty_bit;
      header_.autoclear = 0;  // what we do not maintain is no longer to be trusted
      write_features();
      sync_();
      result = State::dirty;
    } catch (...) {
      state_.store(result);
      state_.notify_all();
      throw;
    }
    state_.store(result);
    state_.notify_all();
  }
}

void LiveHeader::set_clean(RefcountTable table) {
  write_refcount_table(table);
  header_.incompatible &= ~dirty_bit;
  header_.autoclear = 0;
  try {
    write_features();
    sync_();
  } catch (...) {
    header_.incompatible |= dirty_bit;
    throw;
  }
  state_.store(State::clean);
}

void LiveHeader::write_features() const {
  file_.write(encode_features(header_), Header::features_at);
}

void LiveHeader::write_refcount_table(RefcountTable table) {
  if (table == refcount_table(header_)) return;
  std::vector<std::byte> bytes(12);
  store_be<uint64_t>(&bytes[0], table.offset);
  store_be<uint32_t>(&bytes[8], table.clusters);
  file_.write(bytes, Header::refcount_table_at);
  header_.refcount_table_offset = table.offset;
  header_.refcount_table_clusters = table.clusters;
}

}  // namespace qcow2
