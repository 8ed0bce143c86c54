// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/write_all.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "common/util/error.hpp"

namespace qcow2 {

void write_all(const util::Fd &fd, std::array<std::span<const std::byte>, 3> buffers,
               uint64_t offset, const std::string &path) {
  std::array<iovec, 3> vectors;
  for (size_t i = 0; i < buffers.size(); ++i) {
    vectors[i] = {const_cast<std::byte *>(buffers[i].data()), buffers[i].size()};
  }
  ssize_t n;
  do {
    n = ::pwritev(fd.get(), vectors.data(), vectors.size(), static_cast<off_t>(offset));
  } while (n < 0 && errno == EINTR);
  if (n < 0) util::fail_os(errno, "cannot write at offset {} of {}", offset, path);
  // Seldom: the rest of a short write, buffer by buffer.
  auto written = static_cast<size_t>(n);
  for (const auto &buffer : buffers) {
    size_t done = std::min(written, buffer.size());
    written -= done;
    util::write_at(fd, buffer.subspan(done), offset + done, path);
    offset += buffer.size();
  }
}

}  // namespace qcow2
