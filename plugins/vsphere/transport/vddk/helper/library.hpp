// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "plugins/vsphere/transport/vddk/abi.hpp"

namespace vsphere::vddk {

// libvixDiskLib, loaded at run time: its functions by their names. It is never unloaded, for it
// leaves threads behind.
class Library {
 public:
  // Throws util::Error ENOENT with the loader's words, or the name of the function that it lacks.
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

  // Null where the library does not have them.
  ConnectParams *(*AllocateConnectParams)();
  void (*FreeConnectParams)(ConnectParams *params);
  VixError (*PrepareForAccess)(const ConnectParams *params, const char *identity);
  VixError (*EndAccess)(const ConnectParams *params, const char *identity);
  VixError (*QueryAllocatedBlocks)(Handle handle, uint64_t start, uint64_t count, uint64_t chunk,
                                   BlockList **blocks);
  VixError (*FreeBlockList)(BlockList *blocks);

  // In the library's own words.
  std::string describe(VixError error) const;
};

}  // namespace vsphere::vddk
