// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/startup_probe.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <thread>
#include <vector>

#include "common/util/error.hpp"

namespace fanout {

namespace {

// The server may be started later. Anything else has to be corrected first.
bool may_come_later(int errnum) {
  static constexpr int list[] = {ETIMEDOUT,   ECONNREFUSED, ENOENT,    ENOTCONN, EHOSTUNREACH,
                                 ENETUNREACH, ECONNRESET,   EHOSTDOWN, ENETDOWN, EPIPE};
  return std::find(std::begin(list), std::end(list), errnum) != std::end(list);
}

}  // namespace

void for_each_in_parallel(size_t number, const std::function<void(size_t)> &f) {
  std::vector<std::exception_ptr> errors(number);
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < number; ++i) {
      threads.emplace_back([&, i] {
        try {
          f(i);
        } catch (...) {
          errors[i] = std::current_exception();
        }
      });
    }
  }
  for (const auto &error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

void probe_all(const Settings &settings, const DestinationList &destinations,
               const util::Log &log) {
  for_each_in_parallel(destinations.size(), [&](size_t i) {
    const DestinationSettings &one = settings.destinations[i];
    try {
      destinations[i]->set_info(probe(one));
    } catch (const util::Error &e) {
      if (!one.policy.detach || !may_come_later(e.errnum())) throw;
      destinations[i]->is_absent(e);
      log.warning("{}: trying again when a client comes", e.what());
    }
  });
}

}  // namespace fanout
