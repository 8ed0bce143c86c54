// SPDX-License-Identifier: BSD-3-Clause
//
// The part of the binary interface of VMware's libvixDiskLib (VDDK 6.5 to 9, x86-64) that the
// plugin uses: names, numbers and layouts. Offsets and lengths on disks are in sectors.
#pragma once

#include <cstdarg>
#include <cstddef>
#include <cstdint>

namespace vsphere::vddk {

inline constexpr uint64_t sector_size = 512;  // bytes

using VixError = uint64_t;
inline constexpr VixError vix_ok = 0;
inline constexpr VixError vix_fail = 1;
inline constexpr VixError vix_invalid_argument = 3;
inline constexpr VixError vix_file_not_found = 4;
inline constexpr VixError vix_not_supported = 6;
inline constexpr VixError vix_file_access = 13;
inline constexpr VixError vix_authentication = 35;
inline constexpr VixError vix_async = 25000;  // ReadAsync: the callback gets the result

// The number of an error. The bits above the lower 16 are details.
inline constexpr uint64_t code_of(VixError error) {
  return error == vix_ok || (error & 0xffff) == 0 ? error : error & 0xffff;
}

// Flags of VixDiskLib_Open.
inline constexpr uint32_t open_read_only = 4;
inline constexpr uint32_t open_zlib = 16;
inline constexpr uint32_t open_fastlz = 32;
inline constexpr uint32_t open_skipz = 64;

// Limits of VixDiskLib_QueryAllocatedBlocks.
inline constexpr uint64_t min_chunk_size = 128;                     // sectors; a power of two
inline constexpr uint64_t max_chunk_size = 131072;                  // sectors
inline constexpr uint64_t max_chunk_number = uint64_t{512} * 1024;  // in one call

inline constexpr uint32_t credentials_user = 1;
inline constexpr uint32_t spec_vmx = 0;

struct ConnectParams {
  char *vmx_spec;  // "moref=vm-42"
  char *server_name;
  char *thumbprint;  // SHA-1, "AA:BB:..."
  long reserved1;
  uint32_t credential_type;
  struct {
    char *user;
    char *password;
    char *unused;  // used by other kinds of credentials
  } credentials;
  uint32_t port;      // 0: 443
  uint32_t nfc_port;  // 0: 902
  void *reserved2;
  char reserved3[8];
  void *reserved4;
  void *spec[3];  // used for disks that belong to no virtual machine
  uint32_t spec_type;
};
static_assert(sizeof(ConnectParams) == 128);
static_assert(offsetof(ConnectParams, credential_type) == 32);
static_assert(offsetof(ConnectParams, credentials) == 40);
static_assert(offsetof(ConnectParams, port) == 64);
static_assert(offsetof(ConnectParams, spec) == 96);
static_assert(offsetof(ConnectParams, spec_type) == 120);

struct DiskGeometry {
  uint32_t cylinders, heads, sectors;
};

struct Info {
  DiskGeometry bios, physical;
  uint64_t capacity;  // sectors
  uint32_t adapter;
  int links;
  char *parent_hint;
  char *uuid;
  uint32_t logical_sector, physical_sector;  // bytes; since VDDK 7
};
static_assert(sizeof(Info) == 64 && offsetof(Info, capacity) == 24);

struct Block {
  uint64_t offset, length;  // sectors
};

struct BlockList {
  uint32_t count;
  Block blocks[1];  // `count` of them
};
static_assert(offsetof(BlockList, blocks) == 8);

using Connection = void *;
using Handle = void *;
using LogFunction = void(const char *format, va_list arguments);
using ReadCallback = void(void *data, VixError result);

}  // namespace vsphere::vddk
