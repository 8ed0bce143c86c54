// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbdkit/error.hpp"

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <exception>
#include <new>
#include <system_error>

#include "common/util/error.hpp"

namespace nbdkit {

util::Log log() {
  return util::Log([](util::Level level, const std::string &text) {
    switch (level) {
      case util::Level::error:
        nbdkit_error("%s", text.c_str());
        break;
      case util::Level::warning:
        nbdkit_error("warning: %s", text.c_str());
        break;
      case util::Level::info:
      case util::Level::debug:
        nbdkit_debug("%s", text.c_str());
        break;
    }
  });
}

int report_current_exception() noexcept {
  try {
    throw;
  } catch (const Reported &e) {
    return e.errnum != 0 ? e.errnum : EIO;
  } catch (const util::Error &e) {
    nbdkit_error("%s", e.what());
    return e.errnum() != 0 ? e.errnum() : EIO;
  } catch (const std::bad_alloc &) {
    nbdkit_error("out of memory");
    return ENOMEM;
  } catch (const std::system_error &e) {
    nbdkit_error("%s", e.what());
    return e.code().category() == std::generic_category() ||
                   e.code().category() == std::system_category()
               ? e.code().value()
               : EIO;
  } catch (const std::exception &e) {
    nbdkit_error("%s", e.what());
    return EIO;
  } catch (...) {
    nbdkit_error("unknown exception");
    return EIO;
  }
}

void set_errno(int errnum) noexcept {
  nbdkit_set_error(errnum);
}

}  // namespace nbdkit
