// SPDX-License-Identifier: BSD-3-Clause
//
// How the bytes of a disk get here: one interface, several ways.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/log.hpp"
#include "plugins/vsphere/api/disk_info.hpp"

namespace vsphere {

struct Settings;

// Which disk to read, as it is in a snapshot.
struct DiskPlace {
  std::string vm;          // its moref
  std::string snapshot;    // its moref
  std::string datacenter;  // its inventory path: "Europe/DC0"
  DiskInfo info;           // the snapshot's
};

// One disk, read-only.
class DiskReader {
 public:
  virtual ~DiskReader() = default;

  // Of the disk as the transport sees it, in bytes; never less than the capacity.
  virtual uint64_t size() const = 0;

  // Fills the buffer from the offset. The range must lie within the disk. From any thread. What may
  // pass has been tried again when this throws util::Error, which names the host, the offset, why.
  virtual void read(std::span<std::byte> buffer, uint64_t offset) = 0;

  // What is allocated, in order, from the transport itself; nothing if it cannot tell.
  virtual std::optional<std::vector<extents::Range>> allocated() { return std::nullopt; }

  // Gives up connections, threads and processes, as a fork or the end is coming; they are made anew
  // when they are needed. No read may be in progress. Does not throw.
  virtual void disconnect() noexcept = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Finds the disk and tries to read it, so that what would fail fails now. Throws util::Error.
  virtual std::unique_ptr<DiskReader> open(const DiskPlace &place) = 0;

  // Whether a disk that is a chain of files can be read.
  virtual bool reads_chains() const = 0;

  // For the log: "https, 4 connections".
  virtual std::string description() const = 0;

  // A session of the server's own that the reads have begun, as a cookie to log out with.
  virtual std::string session() const { return ""; }
};

// The one that the settings ask for; they must outlive it.
std::unique_ptr<Transport> make_transport(const Settings &settings, const util::Log &log);

}  // namespace vsphere
