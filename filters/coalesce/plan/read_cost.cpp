// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/plan/read_cost.hpp"

#include <algorithm>

namespace coalesce {

namespace {

template <size_t size>
double median(std::array<double, size> values, size_t count) {
  const auto end = values.begin() + static_cast<std::ptrdiff_t>(std::min(count, size));
  const auto middle = values.begin() + (end - values.begin()) / 2;
  std::nth_element(values.begin(), middle, end);
  return *middle;
}

}  // namespace

void ReadCost::Reads::add(uint64_t bytes, std::chrono::nanoseconds took) {
  const size_t at = count_++ % bytes_.size();
  bytes_[at] = static_cast<double>(bytes);
  nanoseconds_[at] = static_cast<double>(took.count());
}

double ReadCost::Reads::bytes() const {
  return median(bytes_, count_);
}

double ReadCost::Reads::nanoseconds() const {
  return median(nanoseconds_, count_);
}

void ReadCost::add(uint64_t bytes, std::chrono::nanoseconds took, unsigned parallel) {
  bytes_read_ += bytes;
  if (bytes_read_ >= period) *this = ReadCost(chunk_, parallel_);
  if (parallel < parallel_) return;
  if (trial()) ++trial_;
  if (is_short(bytes, chunk_)) short_.add(bytes, took / parallel);
  if (bytes >= chunk_ / 2) long_.add(bytes, took / parallel);
  if (short_.count() >= enough && long_.count() >= enough) gap_ = measured_gap();
}

uint64_t ReadCost::measured_gap() const {
  const double bytes = short_.bytes(), took = short_.nanoseconds();
  const double longer = long_.nanoseconds() - took;
  if (longer <= 0) return any;
  const double bytes_per_nanosecond = (long_.bytes() - bytes) / longer;
  const double gap = took * bytes_per_nanosecond - bytes;
  return gap <= 0 ? 0 : gap < 1e18 ? static_cast<uint64_t>(gap) : any;
}

}  // namespace coalesce
