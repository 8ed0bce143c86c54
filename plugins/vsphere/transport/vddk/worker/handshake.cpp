// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/worker/handshake.hpp"

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "plugins/vsphere/transport/vddk/abi.hpp"

namespace vsphere::vddk {

namespace {

// The sentence that goes with what VDDK says, where that is too little.
const char *advice(const Failed &failed) {
  if (failed.step == "loading") {
    return ": is libdir= VMware's VDDK, complete, and for this kind of machine?";
  }
  switch (failed.code) {
    case vix_authentication:
      return ": check user= and password=";
    case vix_file_not_found:
      return ": the disk is not there, or the server does not see its datastore";
    case vix_file_access:
      return ": the user may lack a privilege, or the disk is locked";
    case vix_fail:
      return failed.step == "VixDiskLib_Open" ? ": this is what VDDK says for a wrong thumbprint=, "
                                                "and when port 902 of the host "
                                                "cannot be reached"
                                              : "";
    default:
      return "";
  }
}

int errno_of(const Failed &failed) {
  if (failed.step == "loading") return ENOENT;
  switch (failed.code) {
    case vix_authentication:
    case vix_file_access:
      return EACCES;
    case vix_file_not_found:
      return ENOENT;
    default:
      return EIO;
  }
}

std::string explain(const Failed &failed, const std::string &library, const std::string &disk) {
  if (failed.step == "loading") {
    return fmt::format("{} cannot be loaded ({}){}", library, failed.text, advice(failed));
  }
  return fmt::format("{}: {}: {} (error {}){}", disk, failed.step, failed.text, failed.code,
                     advice(failed));
}

}  // namespace

Started open_disk(Channel &channel, Process &process, Start start, int memory,
                  std::chrono::milliseconds time,
                  const std::function<void(const Message &)> &on_other) {
  const std::string library = start.library, disk = start.path + " on " + start.server;
  auto deadline = std::chrono::steady_clock::now() + time;
  auto ended = [&] {
    util::fail(EIO, "the VDDK helper process {} while it opened {}", process.wait(reap_time), disk);
  };
  try {
    channel.send(std::move(start), memory);
  } catch (const util::Error &e) {
    if (e.errnum() == EPIPE) ended();
    throw;
  }
  for (;;) {
    std::optional<Message> message;
    try {
      message = channel.receive(deadline);
    } catch (const util::Error &e) {
      if (e.errnum() != ETIMEDOUT) throw;
      util::fail(ETIMEDOUT, "VDDK did not open {} within {} s", disk,
                 std::chrono::duration_cast<std::chrono::seconds>(time).count());
    }
    if (!message) ended();
    if (const Failed *failed = std::get_if<Failed>(&*message)) {
      throw OpenError(errno_of(*failed), explain(*failed, library, disk));
    }
    if (Started *started = std::get_if<Started>(&*message)) return std::move(*started);
    on_other(*message);
  }
}

}  // namespace vsphere::vddk
