// SPDX-License-Identifier: BSD-3-Clause
//
// A long array of table entries that many threads read and change, one entry at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace qcow2 {

// Memory is taken only for the pages that were written to. An entry is changed either at once
// (replace_if), or by a thread that has claimed it, which may then take its time (write the data
// the entry will point to) while readers go on seeing the old value. Bit 1, reserved in every table
// of the format, marks a claim; value() never shows it.
class EntryArray {
 public:
  // All zero. Throws util::Error ENOMEM.
  explicit EntryArray(size_t count);
  ~EntryArray();
  EntryArray(const EntryArray &) = delete;
  EntryArray &operator=(const EntryArray &) = delete;

  size_t size() const { return count_; }
  std::atomic<uint64_t> *words() { return words_; }  // as they are
  uint64_t value(size_t i) const { return at(i).load() & ~claim; }
  bool is_claimed(size_t i) const { return (at(i).load() & claim) != 0; }

  // Claims the entry if it still has the value and nobody else has claimed it. A thread that holds
  // claims must not wait for another.
  bool try_claim(size_t i, uint64_t expected) { return replace_if(i, expected, expected | claim); }
  void wait_unclaimed(size_t i) const;
  // Ends the claim: the entry now has the value.
  void release(size_t i, uint64_t value);

  bool replace_if(size_t i, uint64_t expected, uint64_t value) {
    return at(i).compare_exchange_strong(expected, value);
  }

  // For a time when no other thread knows the array.
  void set(size_t i, uint64_t value) { at(i).store(value, std::memory_order_relaxed); }

  // The word as it is, for arrays of bits, which nobody claims.
  uint64_t raw(size_t i) const { return at(i).load(); }
  // Sets bits; returns the word from before.
  uint64_t set_bits(size_t i, uint64_t bits) { return at(i).fetch_or(bits); }
  uint64_t exchange(size_t i, uint64_t value) { return at(i).exchange(value); }

 private:
  using Word = std::atomic<uint64_t>;
  static constexpr uint64_t claim = 2;
  Word &at(size_t i) const { return words_[i]; }

  size_t count_;
  Word *words_;
};

}  // namespace qcow2
