// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/helper/library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <type_traits>
#include <utility>

namespace vsphere::vddk {

Library::Library(const std::string &path) {
  auto refuse = [](std::string text) {
    throw Refused{{std::string(loading_step), 0, std::move(text)}};
  };
  void *loaded = ::dlopen(path.c_str(), RTLD_NOW);
  if (loaded == nullptr) refuse(::dlerror());
  auto find = [&](auto &function, const char *name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(
        ::dlsym(loaded, (std::string("VixDiskLib_") + name).c_str()));
    return function != nullptr;
  };
  auto need = [&](auto &function, const char *name) {
    if (!find(function, name)) {
      refuse(fmt::format("{} has no VixDiskLib_{}: VDDK 6.5 or later is needed", path, name));
    }
  };
  need(InitEx, "InitEx");
  need(Exit, "Exit");
  need(GetErrorText, "GetErrorText");
  need(FreeErrorText, "FreeErrorText");
  need(ConnectEx, "ConnectEx");
  need(Disconnect, "Disconnect");
  need(Open, "Open");
  need(Close, "Close");
  need(GetTransportMode, "GetTransportMode");
  need(GetInfo, "GetInfo");
  need(FreeInfo, "FreeInfo");
  need(ReadAsync, "ReadAsync");
  need(Wait, "Wait");
  if (!find(AllocateConnectParams, "AllocateConnectParams") ||
      !find(FreeConnectParams, "FreeConnectParams")) {
    AllocateConnectParams = nullptr;
  }
  if (!find(PrepareForAccess, "PrepareForAccess") || !find(EndAccess, "EndAccess")) {
    PrepareForAccess = nullptr;
  }
  if (!find(QueryAllocatedBlocks, "QueryAllocatedBlocks") ||
      !find(FreeBlockList, "FreeBlockList")) {
    QueryAllocatedBlocks = nullptr;
  }
}

std::string Library::describe(VixError error) const {
  char *text = GetErrorText(error, nullptr);
  std::string copy = text != nullptr ? text : "unknown error";
  if (text != nullptr) FreeErrorText(text);
  return copy;
}

}  // namespace vsphere::vddk
