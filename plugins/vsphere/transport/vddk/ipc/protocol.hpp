// SPDX-License-Identifier: BSD-3-Clause
//
// The protocol between the plugin and its helper process, which loads VDDK. Each message is one
// packet on a Unix socket (SOCK_SEQPACKET). Data of the disk is in shared memory: slots of
// slot_size bytes, each used for one request at a time.
//
//   plugin                                  helper
//   Start, with the memory's descriptor ->
//                                           <- Started or Failed
//   Read, Query                         ->
//                                           <- Done, in any order
//   Stop, or the end of the socket      ->
//
// The helper sends LogLine at any time. Each side checks the numbers that the other sends. Integers are
// in the byte order of the machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "plugins/vsphere/http/secret.hpp"

namespace vsphere::vddk {

inline constexpr size_t slot_size = 2u << 20;  // bytes; ESXi hosts refuse larger requests
inline constexpr unsigned max_slots = 64;
inline constexpr size_t max_message = 16u << 10;  // bytes
inline constexpr int helper_socket = 3;           // the helper's file descriptor

// Opens a disk.
struct Start {
  std::string library;    // path of libvixDiskLib.so.N
  std::string directory;  // InitEx: the directory of VDDK's own files
  std::string config;     // InitEx: a configuration file; may be empty
  std::string server;
  uint32_t port = 0;  // 0: the default
  std::string user;
  Secret password;
  std::string thumbprint;  // SHA-1, "AA:BB:..."
  std::string vm;          // moref
  std::string snapshot;    // moref
  std::string path;        // "[datastore] directory/disk.vmdk"
  std::string transports;  // "nbdssl:nbd"
  std::string identity;    // PrepareForAccess: who has access
  uint32_t open_flags = 0;
  uint32_t slots = 0;  // of the shared memory
};

struct Read {
  uint64_t id = 0;
  uint32_t slot = 0;
  uint64_t sector = 0;
  uint32_t count = 0;  // sectors; they must fit a slot
};

// QueryAllocatedBlocks. The answer has the blocks in the slot.
struct Query {
  uint64_t id = 0;
  uint32_t slot = 0;
  uint64_t sector = 0;
  uint64_t count = 0;  // sectors
  uint64_t chunk = 0;  // sectors
};

struct Stop {};

struct Started {
  uint64_t sectors = 0;  // of the disk
  std::string mode;      // the transport that VDDK chose: "nbdssl"
  bool can_query = false;
};

inline constexpr std::string_view loading_step = "loading";

// The disk is not open, and the helper ends.
struct Failed {
  std::string step;   // loading_step, or the call that failed
  uint64_t code = 0;  // VixError; 0: the error is not VDDK's
  std::string text;
};

struct Done {
  uint64_t id = 0;
  uint64_t code = 0;   // VixError; 0: success
  uint32_t count = 0;  // blocks that a Query returned
  std::string text;    // describes the code
};

struct LogLine {
  enum class Level : uint32_t { debug, warning, helper };  // the first two are VDDK's
  Level level = Level::debug;
  std::string text;
};

using Message = std::variant<Start, Read, Query, Stop, Started, Failed, Done, LogLine>;

// Cuts the text of Failed, Done and LogLine where it is too long. Throws util::Error EINVAL if a
// message is too long for another reason.
std::string encode(const Message &message);

// Throws util::Error EPROTO if the packet is not a message of this version of the protocol.
Message decode(std::string_view packet);

}  // namespace vsphere::vddk
