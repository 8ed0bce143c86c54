// SPDX-License-Identifier: BSD-3-Clause
//
// The filter's parameters. A part of the door.
#pragma once

#include <string>

#include "filters/fanout/settings.hpp"

namespace fanout {

class Parameters {
 public:
  static constexpr const char *help =
      "fanout-dest=<URI>          (required) A destination; may be given several times.\n"
      "fanout-name=<NAME>         Its name in messages (default: the URI).\n"
      "The following apply to the fanout-dest before them, or, before the first, to all:\n"
      "fanout-mode=sync|async     Answer writes when the destination has them, or before (default: "
      "sync).\n"
      "fanout-on-error=fail|detach   Fail the client, or continue without it (default: fail).\n"
      "fanout-new=equal|owed      What it holds if fanout-state has no file of it (default: "
      "equal).\n"
      "fanout-concurrency=<N>     Requests in flight, 1 to 256 (default: 16).\n"
      "fanout-connections=<N>     Connections, 1 to 16, if multi-conn is offered (default: 4).\n"
      "fanout-rate=<SIZE>         Bytes a second (default: 0, no limit).\n"
      "fanout-retries=<N>         Attempts before it is given up, 0 to 100 (default: 3).\n"
      "fanout-retry-delay=<SECONDS>   Pause before the first of them, then doubled (default: 1).\n"
      "fanout-retry-max=<SECONDS>     The longest pause; interval when detached (default: 30).\n"
      "fanout-connect-timeout=<SECONDS>   Limit for connecting (default: 10).\n"
      "fanout-timeout=<SECONDS>   Limit for each request (default: 60).\n"
      "fanout-verify=<PERCENT>|off   Read back this share of the blocks at the end (default: a "
      "few\n"
      "                           blocks, before a destination is relied on).\n"
      "For all destinations together:\n"
      "fanout-active=all|serial|<N>   How many are served at once (default: all).\n"
      "fanout-state=<DIR>         Save what each destination owes.\n"
      "fanout-drain-timeout=<SECONDS>   Time to catch up after the last client (default: 86400).\n"
      "fanout-stats=<FILE>        Counters of all destinations for Prometheus.";

  // One of the command line. False: it is not ours. Throws util::Error EINVAL.
  bool set(const std::string &key, const std::string &value);
  // After the last one. Throws util::Error EINVAL.
  void complete();

  // After complete().
  const Settings &settings() const { return settings_; }

 private:
  bool set_for_one(const std::string &key, const std::string &value);
  bool set_for_all(const std::string &key, const std::string &value);

  SettingsList list_;
  Settings settings_;
};

}  // namespace fanout
