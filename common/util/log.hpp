// SPDX-License-Identifier: BSD-3-Clause
//
// Logging for code that does not know nbdkit. A module's door passes nbdkit::log(); a test passes a
// lambda that collects the lines. A Log without a sink discards everything.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <utility>

namespace util {

enum class Level {
  error,    // a request or the run has failed
  warning,  // the run continues, but an administrator should know
  info,     // what was found, the settings in force, progress: shown with nbdkit -v
  debug,    // for developers: shown with nbdkit -v
};

// Cheap to copy; may be called from any thread if the sink may.
class Log {
 public:
  using Sink = std::function<void(Level, const std::string &)>;
  Log() = default;
  explicit Log(Sink sink) : sink_(std::move(sink)) {}

  template <typename... Args>
  void error(fmt::format_string<Args...> f, Args &&...args) const {
    say(Level::error, f, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void warning(fmt::format_string<Args...> f, Args &&...args) const {
    say(Level::warning, f, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void info(fmt::format_string<Args...> f, Args &&...args) const {
    say(Level::info, f, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void debug(fmt::format_string<Args...> f, Args &&...args) const {
    say(Level::debug, f, std::forward<Args>(args)...);
  }

 private:
  template <typename... Args>
  void say(Level level, fmt::format_string<Args...> f, Args &&...args) const {
    if (sink_) sink_(level, fmt::format(f, std::forward<Args>(args)...));
  }
  Sink sink_;
};

}  // namespace util
