// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/dirty_bit.hpp"

#include <cstddef>
#include <vector>

#include "plugins/qcow2/format/big_endian.hpp"

namespace qcow2 {

DirtyBit::DirtyBit(const ImageFile &file, const Header &header, DataSync &sync,
                   CompletenessMark &mark)
    : file_(file),
      sync_(sync),
      mark_(mark),
      state_((header.incompatible & dirty_bit) != 0 ? State::dirty : State::clean),
      header_(header) {}

// While one thread sets the bit all others wait: no change may reach the file before the bit.
void DirtyBit::set() {
  for (State state = state_.load(); state != State::dirty; state = state_.load()) {
    if (state == State::marking) {
      state_.wait(state);
      continue;
    }
    if (!state_.compare_exchange_strong(state, State::marking)) continue;
    State result = State::clean;
    try {
      mark_.before_change();
      header_.incompatible |= dirty_bit;
      header_.autoclear = 0;  // nothing here keeps what those bits vouch for up to date
      write_features();
      sync_.run();
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

void DirtyBit::clear(RefcountTable table) {
  write_refcount_table(table);
  header_.incompatible &= ~dirty_bit;
  header_.autoclear = 0;
  try {
    write_features();
    sync_.run();
  } catch (...) {
    header_.incompatible |= dirty_bit;
    throw;
  }
  state_.store(State::clean);
}

void DirtyBit::write_features() const {
  file_.write(encode_features(header_), Header::features_at);
}

void DirtyBit::write_refcount_table(RefcountTable table) {
  if (table == header_.refcount_table()) return;
  std::vector<std::byte> bytes(12);
  store_be<uint64_t>(&bytes[0], table.offset);
  store_be<uint32_t>(&bytes[8], table.clusters);
  file_.write(bytes, Header::refcount_table_at);
  header_.refcount_table_offset = table.offset;
  header_.refcount_table_clusters = table.clusters;
}

}  // namespace qcow2
