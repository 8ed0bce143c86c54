// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/helper/access.hpp"

#include <cerrno>
#include <chrono>
#include <new>
#include <thread>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/helper/vddk_log.hpp"

namespace vsphere::vddk {

namespace {

// VDDK's structures have char *, but it does not write to the texts.
char *unconst(const std::string &text) {
  return const_cast<char *>(text.c_str());
}

}  // namespace

// Old versions of VDDK have no allocator for them. The texts belong to Access.
void Access::FreeParams::operator()(ConnectParams *params) const {
  params->vmx_spec = params->server_name = params->thumbprint = nullptr;
  params->credentials = {};
  if (library->AllocateConnectParams != nullptr) {
    library->FreeConnectParams(params);
  } else {
    delete params;
  }
}

Access::Access(const Library &library, const Start &start)
    : library_(library),
      start_(start),
      vmx_spec_("moref=" + start.vm),
      params_(library.AllocateConnectParams != nullptr ? library.AllocateConnectParams()
                                                       : new ConnectParams(),
              FreeParams{&library}) {
  if (!params_) throw std::bad_alloc();
  fill_params();
  try {
    wait_for_others();
    prepare();
    open();
  } catch (...) {
    close();
    throw;
  }
}

Access::~Access() {
  close();
}

void Access::wait_for_others() {
  constexpr std::chrono::seconds longest_wait{90};  // longer than such a process may take to end
  auto deadline = std::chrono::steady_clock::now() + longest_wait;
  while (!lock_) {
    try {
      lock_.emplace(start_.server, start_.identity);
    } catch (const util::Error &e) {
      if (e.errnum() != EBUSY) throw;
      if (std::chrono::steady_clock::now() > deadline) {
        throw Refused{{"waiting", 0, "an earlier VDDK helper process still has this disk open"}};
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
}

void Access::fill_params() {
  params_->vmx_spec = unconst(vmx_spec_);
  params_->server_name = unconst(start_.server);
  params_->thumbprint = unconst(start_.thumbprint);
  params_->credential_type = credentials_user;
  params_->credentials.user = unconst(start_.user);
  params_->credentials.password = unconst(start_.password.get());
  params_->port = start_.port;
  params_->spec_type = spec_vmx;
}

// Storage vMotion stays disabled until EndAccess, even if the process that called PrepareForAccess
// has died. So EndAccess comes first, for an earlier run with the same identity.
void Access::prepare() {
  if (library_.PrepareForAccess == nullptr) return;
  library_.EndAccess(params_.get(), start_.identity.c_str());
  VixError error = library_.PrepareForAccess(params_.get(), start_.identity.c_str());
  prepared_ = error == vix_ok;
  if (!prepared_) {
    send_line(LogLine::Level::helper,
              "Storage vMotion may move the virtual machine while it is read: "
              "VixDiskLib_PrepareForAccess: " +
                  library_.describe(error));
  }
}

void Access::open() {
  auto check = [&](const char *call, VixError error) {
    if (error != vix_ok) throw Refused{{call, code_of(error), library_.describe(error)}};
  };
  check("VixDiskLib_ConnectEx",
        library_.ConnectEx(params_.get(), /*read_only=*/1, start_.snapshot.c_str(),
                           start_.transports.c_str(), &connection_));
  check("VixDiskLib_Open", library_.Open(connection_, start_.path.c_str(),
                                         open_read_only | start_.open_flags, &handle_));
  Info *info = nullptr;
  check("VixDiskLib_GetInfo", library_.GetInfo(handle_, &info));
  sectors_ = info->capacity;
  library_.FreeInfo(info);
}

std::string Access::mode() const {
  const char *mode = library_.GetTransportMode(handle_);
  return mode != nullptr ? mode : "unknown";
}

void Access::close() noexcept {
  if (handle_ != nullptr) {
    library_.Wait(handle_);
    library_.Close(handle_);
    handle_ = nullptr;
  }
  if (connection_ != nullptr) {
    library_.Disconnect(connection_);
    connection_ = nullptr;
  }
  if (prepared_) library_.EndAccess(params_.get(), start_.identity.c_str());
  prepared_ = false;
}

}  // namespace vsphere::vddk
