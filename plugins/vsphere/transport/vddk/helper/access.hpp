// SPDX-License-Identifier: BSD-3-Clause
//
// A connection to vCenter or a host through VDDK, and its one open disk.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "plugins/vsphere/snapshot/ownership.hpp"
#include "plugins/vsphere/transport/vddk/helper/library.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

// What VDDK refused: for a Failed message.
struct Refused {
  Failed failed;
};

// All calls from one thread, the one that made it, as VDDK wants it for opening and closing.
class Access {
 public:
  using Warn = std::function<void(const std::string &text)>;

  // Waits until no other helper process has access to the disk for the same identity: one whose
  // nbdkit has gone may be about to end it. Ends what a crashed run may have left behind, keeps the machine from being moved by Storage
  // vMotion (a warning if that is not granted), connects, opens. Throws Refused; what was begun has
  // been ended then. `start` must outlive it.
  Access(const Library &library, const Start &start, const Warn &warn);
  // All of it in reverse. Waits for the reads that are under way.
  ~Access();
  Access(const Access &) = delete;
  Access &operator=(const Access &) = delete;

  Handle handle() const { return handle_; }
  uint64_t sectors() const { return sectors_; }
  std::string mode() const;

 private:
  void wait_for_others();
  void fill_params();
  void prepare(const Warn &warn);
  void open();
  void close() noexcept;

  struct FreeParams {
    const Library *library;
    void operator()(ConnectParams *params) const;
  };

  const Library &library_;
  const Start &start_;
  const std::string vmx_spec_;
  std::unique_ptr<ConnectParams, FreeParams> params_;
  std::optional<RunLock> only_one_;
  bool prepared_ = false;
  Connection connection_ = nullptr;
  Handle handle_ = nullptr;
  uint64_t sectors_ = 0;
};

}  // namespace vsphere::vddk
