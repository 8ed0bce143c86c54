// SPDX-License-Identifier: BSD-3-Clause
//
// When nbdkit starts: is each destination there, and writable? Later an error could only reach a
// client.
#pragma once

#include <cstddef>
#include <functional>

#include "common/util/log.hpp"
#include "filters/fanout/destination/destination.hpp"
#include "filters/fanout/settings.hpp"

namespace fanout {

// Calls f(0) to f(number - 1), each on a thread of its own; waits for all; then throws what the
// first of them has thrown, if any.
void for_each_in_parallel(size_t number, const std::function<void(size_t)> &f);

// Connects to each server once, and gives the destinations what it offers. Throws util::Error if
// one is not usable; but one with fanout-on-error=detach that is not there is a warning. Leaves no
// thread behind, so it may be called before nbdkit forks.
void probe_all(const Settings &settings, const DestinationList &destinations, const util::Log &log);

}  // namespace fanout
