// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "plugins/vsphere/http/retry.hpp"
#include "plugins/vsphere/transport/transport.hpp"
#include "plugins/vsphere/transport/vddk/worker/worker.hpp"

namespace vsphere::vddk {

struct DiskSettings {
  std::string helper;            // the program
  std::function<Start()> start;  // makes its first message
  uint64_t capacity = 0;         // bytes
  std::string name;              // for messages: "[ds] vm/vm.vmdk on vc.example.com"
  RetryPolicy retry;
  Deadlines deadlines;
};
// One disk. Its helper process is made when it is needed, and made anew when it has died.
class VddkDisk : public DiskReader {
 public:
  // Opens the disk, without retries, to see that it can be.
  VddkDisk(DiskSettings settings, const util::Log &log);

  uint64_t size() const override { return settings_.capacity; }
  void read(std::span<std::byte> buffer, uint64_t offset) override;
  std::optional<std::vector<extents::Range>> allocated() override;
  void disconnect() noexcept override;

  std::string mode();  // of VDDK's transports: "nbdssl"

 private:
  std::shared_ptr<Worker> current() const;
  std::shared_ptr<Worker> worker();
  void replace(const std::shared_ptr<Worker> &worker);
  void read_from(Worker &worker, std::span<std::byte> buffer, uint64_t offset);
  void query(Worker &worker, std::vector<extents::Range> &ranges);

  const DiskSettings settings_;
  const util::Log log_;
  std::atomic<uint64_t> requests_ = 0;  // to VDDK, that have been answered
  std::atomic<uint64_t> bytes_ = 0;
  std::mutex starting_;       // one thread starts or ends a helper, with deadlines; the others wait
  mutable std::mutex mutex_;  // protects worker_
  std::shared_ptr<Worker> worker_;  // null or dead: to be made anew
  bool opened_ = false;             // the disk was open once: it is worth trying again
};

}  // namespace vsphere::vddk
