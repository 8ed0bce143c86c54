// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/atomic_table.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <limits>

#include "common/util/error.hpp"

namespace qcow2 {

AtomicTable::AtomicTable(size_t count) : count_(count), words_(nullptr) {
  if (count == 0) return;
  if (count > std::numeric_limits<size_t>::max() / sizeof(Word)) {
    util::fail(ENOMEM, "a table of {} entries does not fit into memory", count);
  }
  void *p = ::mmap(nullptr, count * sizeof(Word), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) util::fail_os(errno, "cannot map a table of {} entries", count);
  words_ = static_cast<Word *>(p);
}

AtomicTable::~AtomicTable() {
  if (words_ != nullptr) ::munmap(words_, count_ * sizeof(Word));
}

void AtomicTable::wait_unclaimed(size_t i) const {
  for (uint64_t seen = at(i).load(); (seen & claim) != 0; seen = at(i).load()) at(i).wait(seen);
}

void AtomicTable::release(size_t i, uint64_t value) {
  at(i).store(value);
  at(i).notify_all();
}

}  // namespace qcow2
