// SPDX-License-Identifier: BSD-3-Clause
//
// What VDDK logs, sent to the plugin. The password is masked.
#pragma once

#include <cstdarg>
#include <string>

#include "plugins/vsphere/http/secret.hpp"
#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"

namespace vsphere::vddk {

// Where the lines go. To be called once, before InitEx. Both must outlive VDDK's threads.
void set_log(const Channel &channel, const Secret &password);

// Sends a line; drops it if the plugin does not keep up. May be called from any thread.
void send_line(LogLine::Level level, std::string text);

// The functions for InitEx.
void on_log(const char *format, va_list arguments);
void on_warning(const char *format, va_list arguments);

}  // namespace vsphere::vddk
