// SPDX-License-Identifier: BSD-3-Clause
//
// Catching up: copies what a destination owes from the primary, in order, in large requests, zeroes as
// zeroes; before that, what clients have just written and is still in memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "filters/fanout/server/gather.hpp"
#include "filters/fanout/owed/ledger.hpp"
#include "filters/fanout/server/connection.hpp"

namespace fanout {

// Used by one thread. It has at most 4 MiB of the primary in memory: one batch is read while the other
// is on its way.
class Copier {
 public:
  static constexpr uint64_t largest = 1u << 20;  // bytes of a copy

  struct Copy {
    Ledger::Id id;
    Range range;
    std::vector<std::byte> data = {};  // empty: it is in the primary
  };
  struct Means {
    std::function<std::optional<Copy>()> next;  // nothing: the pass is over
    // What became of it. `failure`: of the destination's; nothing: it arrived, unless `read_failed`.
    std::function<void(Copy, const Failure *failure, bool read_failed)> over;
    // False: the primary cannot be read now. May throw.
    std::function<bool(std::span<std::byte> buffer, uint64_t offset)> read;
    std::function<bool()> stop;  // asked often
  };

  explicit Copier(Means means);

  // Copies what next() gives until it gives nothing, something fails, or it is told to stop. Every
  // copy that next() has given is over when it returns. True: the pass is over.
  bool run(Link &link);

 private:
  static constexpr size_t batch_bytes = 2u << 20;
  struct Part {
    Copy copy;
    size_t at;  // in the buffer, if it is read
    bool read_failed = false;
    Outcome outcome;
    Part(Copy c, size_t place) : copy(std::move(c)), at(place) {}
  };
  struct Batch {
    std::vector<std::byte> buffer;
    std::list<Part> parts;
    Gather gather;  // before the buffer goes, nobody writes from it
  };

  bool fill(Batch &batch);
  void send(Link &link, Batch &batch);
  bool finish(Batch &batch);
  void send_part(Link &link, Batch &batch, Part &part);
  void read(Batch &batch, Part &part) const;

  const Means means_;
  std::array<Batch, 2> batches_;
};

}  // namespace fanout
