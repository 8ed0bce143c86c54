// SPDX-License-Identifier: BSD-3-Clause
//
// The command line's fanout-* parameters.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "filters/fanout/settings.hpp"

namespace fanout {

// How values are read, which nbdkit has its own ways for: see common/nbdkit/params.hpp.
class Values {
 public:
  virtual ~Values() = default;
  virtual unsigned number(const std::string &key, const std::string &value, unsigned min,
                          unsigned max) const = 0;
  virtual uint64_t size(const std::string &key, const std::string &value, uint64_t min,
                        uint64_t max) const = 0;
  virtual std::chrono::milliseconds seconds(const std::string &key,
                                            const std::string &value) const = 0;
  virtual size_t choice(const std::string &key, const std::string &value,
                        std::initializer_list<std::string_view> words) const = 0;
  virtual std::string path(const std::string &value) const = 0;  // absolute
};

class Parameters {
 public:
  static constexpr const char *help =
      "fanout-dest=<URI>          (required) A destination; may be given again and again.\n"
      "fanout-name=<NAME>         What messages call it (default: the URI).\n"
      "The next ones apply to the fanout-dest before them, or, before the first, to all:\n"
      "fanout-mode=sync|async     Answered when the destination has it, or before (default: "
      "sync).\n"
      "fanout-on-error=fail|detach   Fail the client, or go on without it (default: fail).\n"
      "fanout-new=equal|owed      What one without a file in fanout-state holds (default: equal).\n"
      "fanout-concurrency=<N>     Requests in flight, 1 to 256 (default: 16).\n"
      "fanout-connections=<N>     Connections, 1 to 16, where multi-conn is offered (default: 4).\n"
      "fanout-rate=<SIZE>         Bytes a second (default: 0, no limit).\n"
      "fanout-retries=<N>         Attempts before it is given up, 0 to 100 (default: 3).\n"
      "fanout-retry-delay=<SECONDS>   Before the first of them, then doubled (default: 1).\n"
      "fanout-retry-max=<SECONDS>     The longest delay, and for one detached (default: 30).\n"
      "fanout-connect-timeout=<SECONDS>   For connecting (default: 10).\n"
      "fanout-timeout=<SECONDS>   For each request (default: 60).\n"
      "fanout-verify=<PERCENT>    Read back this share of the blocks at the end (default: none).\n"
      "For all of them together:\n"
      "fanout-active=all|serial|<N>   How many are served at once (default: all).\n"
      "fanout-state=<DIR>         Remember what each destination owes.\n"
      "fanout-drain-timeout=<SECONDS>   Patience after the last client (default: 86400).\n"
      "fanout-stats=<FILE>        Counters of all destinations for Prometheus.";

  // `values` must outlive it.
  explicit Parameters(const Values &values) : values_(values) {}

  // False: it is for the layers below. Throws util::Error if it makes no sense.
  bool set(const std::string &key, const std::string &value);
  // When all have been set. Throws as well.
  void complete();

  const std::vector<Settings> &destinations() const { return list_.list(); }
  const CommonSettings &common() const { return common_; }

 private:
  bool set_for_one(const std::string &key, const std::string &value);
  bool set_for_all(const std::string &key, const std::string &value);

  const Values &values_;
  SettingsList list_;
  CommonSettings common_;
};

}  // namespace fanout
