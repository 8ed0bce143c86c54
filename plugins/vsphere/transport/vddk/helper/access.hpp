// SPDX-License-Identifier: BSD-3-Clause
//
// VDDK's connection to a vCenter Server or an ESXi host, with one disk open.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "plugins/vsphere/snapshot/ownership.hpp"
#include "plugins/vsphere/transport/vddk/helper/library.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

// All calls come from the thread that made the object, as VDDK wants it for opening and closing.
class Access {
 public:
  // Waits until no other helper process has access to the disk under the same identity: one whose
  // nbdkit has been killed may be about to end its access. Ends the access that a crashed run has
  // left behind, keeps Storage vMotion from moving the virtual machine (sends a warning if that is
  // refused), connects and opens the disk. Throws Refused, after it has undone the steps before.
  // `start` must outlive the object.
  Access(const Library &library, const Start &start);
  // Undoes the steps in reverse order. Waits for the reads under way.
  ~Access();
  Access(const Access &) = delete;
  Access &operator=(const Access &) = delete;

  Handle handle() const { return handle_; }
  uint64_t sectors() const { return sectors_; }
  std::string mode() const;

 private:
  void wait_for_others();
  void fill_params();
  void prepare();
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
  std::optional<RunLock> lock_;  // no other helper has access under the identity
  bool prepared_ = false;        // EndAccess is due
  Connection connection_ = nullptr;
  Handle handle_ = nullptr;
  uint64_t sectors_ = 0;  // of the disk
};

}  // namespace vsphere::vddk
