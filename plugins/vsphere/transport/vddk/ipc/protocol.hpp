// SPDX-License-Identifier: BSD-3-Clause
//
// What the plugin and its helper process, which alone loads VDDK, say to each other: one message a
// packet over a Unix socket (SOCK_SEQPACKET). The data of the disk is in shared memory: slots of
// slot_size bytes, each used for one request at a time. The plugin opens with Start, which brings the
// memory's file descriptor; the helper answers Started or Failed; then come Read and Query, answered
// by Done in any order; Stop, or the end of the socket, ends it. Log may come at any time.
//
// Neither side trusts the other's numbers. Integers are as the machine has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "plugins/vsphere/http/secret.hpp"
#include "plugins/vsphere/transport/sector.hpp"

namespace vsphere::vddk {

inline constexpr size_t slot_size = 2u << 20;  // bytes; hosts refuse larger requests
inline constexpr unsigned max_slots = 64;
inline constexpr size_t max_message = 16u << 10;  // bytes
inline constexpr int helper_socket = 3;           // the helper's file descriptor

struct Start {
  std::string library;    // path of libvixDiskLib.so.N
  std::string directory;  // where VDDK's own files are, for InitEx
  std::string config;     // a file for InitEx; may be empty
  std::string server;
  uint32_t port = 0;  // 0: the default
  std::string user;
  Secret password;
  std::string thumbprint;  // SHA-1, "AA:BB:..."
  std::string vm;          // moref
  std::string snapshot;    // moref
  std::string path;        // "[datastore] directory/disk.vmdk"
  std::string transports;  // "nbdssl:nbd"
  std::string identity;    // of whom PrepareForAccess is for
  uint32_t open_flags = 0;
  uint32_t slots = 0;
};

struct Read {
  uint64_t id = 0;
  uint32_t slot = 0;
  uint64_t sector = 0;
  uint32_t count = 0;  // sectors, at most a slot's
};

// QueryAllocatedBlocks; the blocks come in the slot.
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

struct Failed {
  std::string step;   // "loading", or the call that failed
  uint64_t code = 0;  // VixError; 0: it was not VDDK that failed
  std::string text;
};

struct Done {
  uint64_t id = 0;
  uint64_t code = 0;   // VixError; 0: good
  uint32_t count = 0;  // blocks, of a Query
  std::string text;    // of the code
};

struct Log {
  enum class Level : uint32_t { debug, warning, ours };  // of VDDK, of VDDK, of the helper itself
  Level level = Level::debug;
  std::string text;
};

using Message = std::variant<Start, Read, Query, Stop, Started, Failed, Done, Log>;

// Texts of Failed, Done and Log are cut where they are too long for a message; others throw EINVAL.
std::string encode(const Message &message);

// Throws util::Error EPROTO at a packet that is no message: too short, too long, of unknown kind, of
// another version.
Message decode(std::string_view packet);

}  // namespace vsphere::vddk
