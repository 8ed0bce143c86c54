// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace qcow2 {

// A long array of table entries that many threads read and change. Memory is used only for the
// pages that were written to.
//
// An entry is changed either in one step (replace_if), or by a thread that has claimed it: that
// thread may take its time (such as for writing the data the entry will point to) while readers
// still see the old value. Bit 1, which is reserved in every table of the format, marks a claim;
// value() never shows it.
class AtomicTable {
 public:
  // All entries are zero. Throws util::Error ENOMEM.
  explicit AtomicTable(size_t count);
  ~AtomicTable();
  AtomicTable(const AtomicTable &) = delete;
  AtomicTable &operator=(const AtomicTable &) = delete;

  size_t size() const { return count_; }
  uint64_t value(size_t i) const { return at(i).load() & ~claim; }
  bool is_claimed(size_t i) const { return (at(i).load() & claim) != 0; }

  // Claims the entry if it still has that value and no other thread has claimed it. A thread that
  // holds a claim must not wait for another.
  bool try_claim(size_t i, uint64_t expected) { return replace_if(i, expected, expected | claim); }
  void wait_unclaimed(size_t i) const;
  // Sets the value and ends the claim.
  void release(size_t i, uint64_t value);

  bool replace_if(size_t i, uint64_t expected, uint64_t value) {
    return at(i).compare_exchange_strong(expected, value);
  }

  // Only before other threads use the array.
  void set(size_t i, uint64_t value) { at(i).store(value, std::memory_order_relaxed); }

  // For arrays of plain words, without claims: the memory, the word, the word before bits were set,
  // the word before it was replaced.
  std::atomic<uint64_t> *words() { return words_; }
  uint64_t raw(size_t i) const { return at(i).load(); }
  uint64_t set_bits(size_t i, uint64_t bits) { return at(i).fetch_or(bits); }
  uint64_t exchange(size_t i, uint64_t value) { return at(i).exchange(value); }

 private:
  using Word = std::atomic<uint64_t>;
  static constexpr uint64_t claim = 2;
  Word &at(size_t i) const { return words_[i]; }

  size_t count_;
  Word *words_;  // of an anonymous mapping
};

}  // namespace qcow2
