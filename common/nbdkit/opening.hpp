// SPDX-License-Identifier: BSD-3-Clause
//
// The arguments by which nbdkit lets a filter open the layer below and list its exports.
#pragma once

#define NBDKIT_API_VERSION 2
#include <nbdkit-filter.h>

#include <memory>
#include <string>
#include <vector>

#include "common/nbdkit/error.hpp"
#include "common/nbdkit/next.hpp"

namespace nbdkit {

// Opens the layer below for a connection; open() of the filter calls next() exactly once.
class Opener {
 public:
  Opener(nbdkit_next_open *open, nbdkit_context *context) : open_(open), context_(context) {}
  void next(bool readonly, const std::string &export_name) {
    if (open_(context_, readonly, export_name.c_str()) < 0) throw Reported{EIO};
  }
  Backend backend() { return Backend(nbdkit_context_get_backend(context_)); }

 private:
  nbdkit_next_open *open_;
  nbdkit_context *context_;
};

// The exports of the layer below.
class LowerExports {
 public:
  LowerExports(nbdkit_next_list_exports *next, nbdkit_backend *backend, int readonly)
      : next_(next), backend_(backend), readonly_(readonly) {}
  struct Export {
    std::string name;
    std::string description;
  };
  std::vector<Export> list() const {
    struct Free {
      void operator()(nbdkit_exports *list) const { nbdkit_exports_free(list); }
    };
    std::unique_ptr<nbdkit_exports, Free> exports(nbdkit_exports_new());
    if (!exports || next_(backend_, readonly_, exports.get()) < 0) throw Reported{EIO};
    std::vector<Export> result;
    for (size_t i = 0; i < nbdkit_exports_count(exports.get()); ++i) {
      nbdkit_export e = nbdkit_get_export(exports.get(), i);
      result.push_back({e.name, e.description == nullptr ? "" : e.description});
    }
    return result;
  }

 private:
  nbdkit_next_list_exports *next_;
  nbdkit_backend *backend_;
  int readonly_;
};

}  // namespace nbdkit
