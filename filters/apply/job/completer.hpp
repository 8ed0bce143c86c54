// SPDX-License-Identifier: BSD-3-Clause
//
// Finishes what the client left: zeroes what the map says is zero, and what the source has as
// zeroes and the client did not send (its sparse detection).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "filters/apply/delta/delta_map.hpp"
#include "filters/apply/source/source.hpp"

namespace apply {

class Completer {
 public:
  struct Means {
    std::function<std::unique_ptr<Reader>()> connect;  // nothing: the source has only a map
    std::function<void(extents::Range)> zero;          // at most 32 MiB at once
    std::function<bool()> stop;                        // asked often: give up for now
  };
  // The first pieces of what is missing, from an offset on; none: nothing more is. A piece that has
  // been completed may be among them or not.
  using Missing = std::function<std::vector<Piece>(uint64_t from)>;
  enum class End {
    finished,     // nothing is missing any more
    left_early,   // the source has data where nothing arrived
    unreadable,   // data is missing, and the source has only a map
    interrupted,  // stop() said so
  };
  struct Result {
    End end;
    uint64_t offset = 0;  // left_early, unreadable: the first byte that is missing
  };

  explicit Completer(Means means) : means_(std::move(means)) {}

  // Whether complete() would finish. Changes nothing.
  bool could_finish(const Missing &missing);

  // Zeroes piece by piece, up to the first that is not zero at the source. What the means throw
  // goes on to the caller; what was zeroed before stays so.
  Result complete(const Missing &missing);

 private:
  using Visit = std::function<void(extents::Range)>;
  Result for_zero_data(const Missing &missing, const Visit &visit);
  Result are_zero(Reader &reader, std::span<const extents::Range> batch, const Visit &visit);

  Means means_;
};

}  // namespace apply
