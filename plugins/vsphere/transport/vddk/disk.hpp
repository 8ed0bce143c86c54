// SPDX-License-Identifier: BSD-3-Clause
//
// One disk read by VDDK. Its helper process is started when it is needed, and again when it has
// died.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/util/log.hpp"
#include "plugins/vsphere/http/retry.hpp"
#include "plugins/vsphere/transport/renewable.hpp"
#include "plugins/vsphere/transport/transport.hpp"
#include "plugins/vsphere/transport/vddk/split_read.hpp"
#include "plugins/vsphere/transport/vddk/worker/worker.hpp"

namespace vsphere::vddk {

struct DiskOptions {
  std::string helper;                 // path of the program
  std::function<Start()> make_start;  // makes the first message to a helper, which is not copyable
  uint64_t capacity = 0;              // bytes
  std::string name;                   // for messages: "[ds] vm/vm.vmdk on vc.example.com"
  RetryPolicy retry;
  Deadlines deadlines;
};

class VddkDisk : public DiskReader {
 public:
  // Starts a helper and opens the disk. Does not retry. Throws TransportError.
  VddkDisk(DiskOptions options, const util::Log &log);

  uint64_t size() const override { return options_.capacity; }
  void read(std::span<std::byte> buffer, uint64_t offset) override;
  std::optional<std::vector<extents::Range>> allocated() override;
  void disconnect() noexcept override;

  std::string mode();  // the transport mode that VDDK uses: "nbdssl"

 private:
  std::shared_ptr<Worker> worker();
  std::shared_ptr<Worker> start_worker() const;
  void end(const std::shared_ptr<Worker> &worker) noexcept;

  const DiskOptions options_;
  const util::Log log_;
  ReadCounters counters_;
  Renewable<Worker> worker_;
  bool opened_ = false;  // set by the constructor: later failures to open the disk may be temporary
};

}  // namespace vsphere::vddk
