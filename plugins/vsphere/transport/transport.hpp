// SPDX-License-Identifier: BSD-3-Clause
//
// How the plugin reads the data of a disk: one interface, implemented for each transport=.
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

inline constexpr uint64_t sector_size = 512;  // bytes; the capacity of a disk is a multiple

// A disk as it is in a snapshot.
struct DiskPlace {
  std::string vm;          // moref
  std::string snapshot;    // moref
  std::string datacenter;  // inventory path: "Europe/DC0"
  DiskInfo info;           // as the snapshot has it
};

// One disk, read-only.
class DiskReader {
 public:
  virtual ~DiskReader() = default;

  // Size in bytes of the disk as the transport sees it; at least the capacity.
  virtual uint64_t size() const = 0;

  // Fills the buffer from the offset. The range must lie within the disk. May be called from any
  // thread. Retries temporary failures. Throws util::Error naming the server, the offset and the
  // cause.
  virtual void read(std::span<std::byte> buffer, uint64_t offset) = 0;

  // The allocated ranges, in order, if the transport can list them.
  virtual std::optional<std::vector<extents::Range>> allocated() { return std::nullopt; }

  // Closes connections and ends threads and processes, before a fork or at the end; the next read
  // makes them anew. No read may be in progress.
  virtual void disconnect() noexcept = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Opens a disk and reads from it, so that errors come at the start. Throws util::Error.
  virtual std::unique_ptr<DiskReader> open(const DiskPlace &place) = 0;

  // Whether a disk that is a chain of files can be read.
  virtual bool reads_chains() const = 0;

  // Whether a disk that vSphere encrypts is read as the guest sees it.
  virtual bool decrypts() const { return true; }

  // For the log: "https directly from esxi1, 4 connections".
  virtual std::string description() const = 0;

  // Closes the connections that no disk uses (of a host that was tried, say), before a fork: libcurl may keep threads for
  // them, which the child does not have.
  virtual void disconnect() noexcept {}

  // Ends the session that the reads have begun: none of them begins another one, and each that would need one fails. Any
  // thread may be reading. Returns the session's cookie, to log out of; empty if there is none.
  virtual std::string end_session() { return ""; }
};

// Throws util::Error EINVAL if the parameters of the transports do not go together.
void check_transport(const Settings &settings);

// Makes the transport that the settings ask for. They must outlive it.
std::unique_ptr<Transport> make_transport(const Settings &settings, const util::Log &log);

}  // namespace vsphere
