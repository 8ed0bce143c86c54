// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/helper/vddk_log.hpp"

#include <cstdio>
#include <string_view>
#include <utility>

namespace vsphere::vddk {

namespace {

// Globals, as VDDK passes no data to its log functions.
const Channel *log_channel = nullptr;
const Secret *masked = nullptr;

__attribute__((format(printf, 2, 0))) void send_line(LogLine::Level level, const char *format,
                                                     va_list arguments) {
  char line[2048];
  std::vsnprintf(line, sizeof line, format, arguments);
  // Messages of VMware's customer experience improvement program are not warnings.
  std::string_view text(line);
  const bool telemetry =
      text.find("Get CEIP status failed") != text.npos || text.find("VDDK_PhoneHome:") != text.npos;
  vddk::send_line(telemetry ? LogLine::Level::debug : level, std::string(text));
}

}  // namespace

void set_log(const Channel &channel, const Secret &password) {
  log_channel = &channel;
  masked = &password;
}

void send_line(LogLine::Level level, std::string text) {
  constexpr std::string_view mask = "********";
  const std::string &secret = masked->get();
  for (size_t at = 0; !secret.empty() && (at = text.find(secret, at)) != std::string::npos;) {
    text.replace(at, secret.size(), mask);
    at += mask.size();
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  log_channel->send_if_room(LogLine{level, std::move(text)});
}

void on_log(const char *format, va_list arguments) {
  send_line(LogLine::Level::debug, format, arguments);
}

void on_warning(const char *format, va_list arguments) {
  send_line(LogLine::Level::warning, format, arguments);
}

}  // namespace vsphere::vddk
