// SPDX-License-Identifier: BSD-3-Clause
//
// The filter's parameters. A part of the door.
#pragma once

#include <string>

#include "filters/pull/settings.hpp"

namespace pull {

struct Parameters {
  Settings settings;

  static constexpr const char *help =
      "pull-from=<URI>            (required) The source.\n"
      "pull-state=<FILE>          (required) The state file of the disk below.\n"
      "pull-copy=on               Instead: copy what the source shows, then end the server.\n"
      "pull-workers=<N>           Chunks fetched at a time in the background (default: 32).\n"
      "pull-chunk=<SIZE>          What is fetched at once, a power of two (default: 1M).\n"
      "pull-rate=<SIZE>           Bytes a second in the background (default: 0, no limit).\n"
      "pull-connections=<N>       Connections, 1 to 16, if multi-conn is offered (default: 4).\n"
      "pull-memory=<SIZE>         Limit of the memory for what is fetched (default: 64M).\n"
      "pull-priority=<OFFSET>-<END>[,...]   Ranges that are fetched first.\n"
      "pull-image=same|any        Whether another image than that of the state is accepted.\n"
      "pull-retries=<N>           Attempts before a client's read fails, 0 to 100 (default: 3).\n"
      "pull-retry-delay=<SECONDS> Pause before the first of them, then doubled (default: 1).\n"
      "pull-retry-max=<SECONDS>   The longest pause (default: 30).\n"
      "pull-connect-timeout=<SECONDS>   For connecting to the source (default: 10).\n"
      "pull-timeout=<SECONDS>     For each request to the source (default: 60).\n"
      "pull-stats=<FILE>          Write counters for Prometheus to this file.";

  // False: it is not one of these. Throws util::Error EINVAL.
  bool set(const std::string &key, const std::string &value);
  // After the last one. Throws util::Error EINVAL if a required one is missing.
  void complete();

 private:
  void complete_copy();
  bool set_patience(const std::string &key, const std::string &value);
};

}  // namespace pull
