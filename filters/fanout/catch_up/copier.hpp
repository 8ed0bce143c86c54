// SPDX-License-Identifier: BSD-3-Clause
//
// Copies what a destination owes from the primary: in order, in large requests, zeroes as zeroes.
// Data that clients have just written and that is still in memory is copied first, from there.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "filters/fanout/owed/ledger.hpp"
#include "filters/fanout/server/connection.hpp"

namespace fanout {

struct Copy {
  Ledger::Id id;
  Range range;
  std::vector<std::byte> data = {};  // empty: it is read from the primary
};

// Where copies come from, and what is told of their end. Called on the copier's thread.
class CopyQueue {
 public:
  virtual std::optional<Copy> next() = 0;  // nothing: the pass is over
  // `failure`: of the destination. The copy arrived if there is none and the primary could be read.
  virtual void finished(Copy copy, const nbd::Failure *failure, bool read_failed) = 0;
  // False: the primary cannot be read now. May throw.
  virtual bool read_primary(std::span<std::byte> buffer, uint64_t offset) = 0;
  virtual bool stop() = 0;  // asked between two batches

 protected:
  ~CopyQueue() = default;
};

// Used by one thread. Holds at most 4 MiB of the primary in memory: one batch is read while the
// other is being sent.
class Copier {
 public:
  static constexpr uint64_t largest = 1u << 20;  // bytes of a copy

  // Copies what next() returns until it returns nothing, something fails, or stop() is true. Every
  // copy is finished when this returns. True: the pass is over.
  bool run(CopyQueue &queue, DestinationConnection &connection);

 private:
  static constexpr size_t batch_bytes = 2u << 20;
  struct Part {
    Copy copy;
    size_t at;  // its place in the buffer, if it is read
    bool read_failed = false;
    DestinationBatch requests;
    Part(Copy c, size_t place) : copy(std::move(c)), at(place) {}
  };
  struct Batch {
    std::vector<std::byte> buffer;
    std::list<Part> parts;  // after the buffer: their requests, which send from it, end first
  };

  bool fill(CopyQueue &queue, Batch &batch);
  void read(CopyQueue &queue, Batch &batch, Part &part) const;
  void send(DestinationConnection &connection, Batch &batch, Part &part) const;
  bool finish(CopyQueue &queue, Batch &batch);

  std::array<Batch, 2> batches_;
};

}  // namespace fanout
