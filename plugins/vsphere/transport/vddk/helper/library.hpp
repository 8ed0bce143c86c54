// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "plugins/vsphere/transport/vddk/abi.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

// Thrown if VDDK cannot be loaded, or one of its functions fails, before the disk is open.
struct Refused {
  Failed failed;
};

// The functions of libvixDiskLib, loaded at run time. It is never unloaded, as its threads may
// still run.
class Library {
 public:
  // Throws Refused with the loader's message, or the name of a function that is missing.
  explicit Library(const std::string &path);

  VixError (*InitEx)(uint32_t major, uint32_t minor, LogFunction *log, LogFunction *warn,
                     LogFunction *panic, const char *directory, const char *config);
  void (*Exit)();
  char *(*GetErrorText)(VixError error, const char *unused);
  void (*FreeErrorText)(char *text);
  VixError (*ConnectEx)(const ConnectParams *params, char read_only, const char *snapshot,
                        const char *transports, Connection *connection);
  VixError (*Disconnect)(Connection connection);
  VixError (*Open)(Connection connection, const char *path, uint32_t flags, Handle *handle);
  VixError (*Close)(Handle handle);
  const char *(*GetTransportMode)(Handle handle);
  VixError (*GetInfo)(Handle handle, Info **info);
  void (*FreeInfo)(Info *info);
  VixError (*ReadAsync)(Handle handle, uint64_t start, uint64_t count, uint8_t *buffer,
                        ReadCallback *callback, void *data);
  VixError (*Wait)(Handle handle);

  // Null if the library does not have them.
  ConnectParams *(*AllocateConnectParams)();
  void (*FreeConnectParams)(ConnectParams *params);
  VixError (*PrepareForAccess)(const ConnectParams *params, const char *identity);
  VixError (*EndAccess)(const ConnectParams *params, const char *identity);
  VixError (*QueryAllocatedBlocks)(Handle handle, uint64_t start, uint64_t count, uint64_t chunk,
                                   BlockList **blocks);
  VixError (*FreeBlockList)(BlockList *blocks);

  // The library's text for an error.
  std::string describe(VixError error) const;
};

}  // namespace vsphere::vddk
