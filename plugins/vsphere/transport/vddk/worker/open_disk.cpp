// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/worker/open_disk.hpp"

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/worker/open_error.hpp"

namespace vsphere::vddk {

Started open_disk(Channel &channel, Process &process, Start start, int memory,
                  std::chrono::milliseconds time, const std::function<void()> &interrupt,
                  const util::Log &log) {
  const std::string library = start.library, disk = start.path + " on " + start.server;
  const auto deadline = std::chrono::steady_clock::now() + time;
  auto fail_ended = [&] {
    util::fail(EIO, "the VDDK helper process {} while it opened {}", process.wait(usual_reap_time),
               disk);
  };
  // An interrupted helper ends when it finds the socket closed. If it hangs it is killed.
  auto wait_until_readable = [&] {
    try {
      return wait_in_slices(deadline, interrupt,
                            [&](auto slice) { return channel.readable_within(slice); });
    } catch (...) {
      channel.shut();
      process.wait(short_reap_time);
      throw;
    }
  };
  try {
    channel.send(std::move(start), memory);
  } catch (const util::Error &e) {
    if (e.errnum() == EPIPE) fail_ended();
    throw;
  }
  for (;;) {
    if (!wait_until_readable()) {
      util::fail(ETIMEDOUT, "VDDK did not open {} within {} s", disk,
                 std::chrono::duration_cast<std::chrono::seconds>(time).count());
    }
    const std::optional<Message> message = channel.receive(deadline);
    if (!message) fail_ended();
    if (const Failed *failed = std::get_if<Failed>(&*message)) {
      throw explain(*failed, library, disk);
    }
    if (const Started *started = std::get_if<Started>(&*message)) return *started;
    const LogLine *line = std::get_if<LogLine>(&*message);
    if (line == nullptr) fail_wrong_message();
    relay(*line, log);
  }
}

void relay(const LogLine &line, const util::Log &log) {
  switch (line.level) {
    case LogLine::Level::helper:
      log.warning("{}", line.text);
      break;
    case LogLine::Level::warning:
      log.info("VDDK warns: {}", line.text);
      break;
    case LogLine::Level::debug:
      log.debug("VDDK: {}", line.text);
      break;
  }
}

void fail_wrong_message() {
  util::fail(EPROTO, "the VDDK helper process sends a message that only the plugin may send");
}

}  // namespace vsphere::vddk
