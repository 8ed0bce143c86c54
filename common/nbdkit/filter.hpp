// SPDX-License-Identifier: BSD-3-Clause
//
// A filter as a class, as plugin.hpp does for plugins, with two differences: open() gets an Opener for
// the layer below, and each method of the connection gets that layer as its first argument. A callback that
// is absent is passed on; extents() clips the answer to what was asked for (see ExtentList).
//
//   struct F {
//     static constexpr const char *name, *longname, *description, *config_help;
//     bool config(const std::string &key, const std::string &value);  // false: not this filter's
//     void config_complete();  void after_fork(Backend);  void cleanup(Backend);
//     void get_ready(int thread_model /* in force */);  static Libraries libraries();  // dump.hpp
//     void list_exports(LowerExports &, bool readonly, bool is_tls, ExportList &);
//     std::unique_ptr<C> open(Opener &, bool readonly, const std::string &export_name, bool is_tls);
//   };
//   struct C {
//     void prepare(Next, bool readonly);
//     void finalize();  // the client has gone. Also a second time, and after a prepare that has failed
//     uint64_t get_size(Next);  std::string export_description(Next);  BlockSize block_size(Next);
//     bool can_write(Next) ...;  Zero can_zero(Next);  Fua can_fua(Next);  Cache can_cache(Next);
//     void pread(Next, std::span<std::byte>, uint64_t offset);  void flush(Next);
//     void pwrite(Next, std::span<const std::byte>, uint64_t offset, uint32_t flags);
//     void trim(Next, uint32_t count, uint64_t offset, uint32_t flags);  // also zero; cache has no flags
//     void extents(Next, uint32_t count, uint64_t offset, uint32_t flags, ExtentList &);
//   };
#pragma once

#include <nbdkit-filter.h>

#include <memory>
#include <span>
#include <string>

#include "common/nbdkit/dump.hpp"
#include "common/nbdkit/next.hpp"
#include "common/nbdkit/opening.hpp"
#include "common/nbdkit/params.hpp"
#include "common/nbdkit/slot.hpp"

namespace nbdkit {

template <typename F>
class FilterBinding {
 public:
  static nbdkit_filter make() {
    nbdkit_filter f = {};
    f.name = F::name;
    f.longname = F::longname;
    f.description = F::description;
    f.config_help = F::config_help;
    bind_server(f);
    bind_connection(f);
    bind_data(f);
    return f;
  }

 private:
  using C = typename decltype(std::declval<F &>().open(std::declval<Opener &>(), true, "",
                                                       true))::element_type;
  static inline Slot<F> filter;

  static C &self(void *handle) { return *static_cast<C *>(handle); }

  template <typename Body>
  static int run(Body &&body, int *err = nullptr) {
    return guard(
        -1, [&] { return body(), 0; }, err);
  }

  // A failure is reported, and that is all: nbdkit would not finalize the filters below.
  static void finalize(void *h) {
    if constexpr (requires(C c) { c.finalize(); }) run([&] { self(h).finalize(); });
  }

  static void bind_server(nbdkit_filter &f) {
    f.load = [] { guard(0, [] { return filter = std::make_unique<F>(), 0; }); };
    f.unload = [] { guard(0, [] { return filter.reset(), 0; }); };
    f.config = [](nbdkit_next_config *next, nbdkit_backend *nxdata, const char *key,
                  const char *value) {
      int ours = guard(-1, [&] {
        if (filter->config(key, value)) return 1;
        if (std::string_view(key).starts_with(F::name + std::string("-"))) {
          fail_unknown_parameter(key, F::name + std::string("-filter"));
        }
        return 0;
      });
      if (ours != 0) return ours < 0 ? -1 : 0;
      return next(nxdata, key, value);
    };
    if constexpr (requires(F x) { x.config_complete(); }) {
      f.config_complete = [](nbdkit_next_config_complete *next, nbdkit_backend *nxdata) {
        if (run([] { filter->config_complete(); }) < 0) return -1;
        return next(nxdata);
      };
    }
    set_dump_plugin(f, [] { guard(0, [] { return print_dump<F>(), 0; }); });
    if constexpr (requires(F x) { x.get_ready(0); }) {
      f.get_ready = [](int thread_model) { return run([&] { filter->get_ready(thread_model); }); };
    }
    if constexpr (requires(F x, Backend b) { x.after_fork(b); }) {
      f.after_fork = [](nbdkit_backend *backend) {
        return run([&] { filter->after_fork(Backend(backend)); });
      };
    }
    if constexpr (requires(F x, Backend b) { x.cleanup(b); }) {
      f.cleanup = [](nbdkit_backend *backend) { run([&] { filter->cleanup(Backend(backend)); }); };
    }
    if constexpr (requires(F x, LowerExports n, ExportList l) {
                    x.list_exports(n, true, true, l);
                  }) {
      f.list_exports = [](nbdkit_next_list_exports *next, nbdkit_backend *nxdata, int readonly,
                          int is_tls, nbdkit_exports *exports) {
        return run([&] {
          LowerExports lower(next, nxdata, readonly);
          ExportList list(exports);
          filter->list_exports(lower, readonly, is_tls, list);
        });
      };
    }
  }

#define REPLICATE_BIND(method)                                                        \
  if constexpr (requires(C c, Next n) { c.method(n); }) {                             \
    f.method = [](nbdkit_next *next, void *h) {                                       \
      return guard(-1, [&] { return static_cast<int>(self(h).method(Next(next))); }); \
    };                                                                                \
  }

  static void bind_connection(nbdkit_filter &f) {
    f.open = [](nbdkit_next_open *next, nbdkit_context *context, int readonly,
                const char *export_name, int is_tls) {
      return guard(static_cast<void *>(nullptr), [&] {
        Opener opener(next, context);
        std::unique_ptr<C> connection = filter->open(opener, readonly, export_name, is_tls);
        return static_cast<void *>(connection.release());
      });
    };
    // nbdkit calls no finalize if the handshake has failed, or the finalize of a filter above.
    f.close = [](void *h) {
      finalize(h);
      guard(0, [&] { return std::unique_ptr<C>(&self(h)).reset(), 0; });
    };
    if constexpr (requires(C c, Next n) { c.prepare(n, true); }) {
      f.prepare = [](nbdkit_next *next, void *h, int readonly) {
        return run([&] { self(h).prepare(Next(next), readonly); });
      };
    }
    f.finalize = [](nbdkit_next *, void *h) {
      finalize(h);
      return 0;
    };
    if constexpr (requires(C c, Next n) { c.get_size(n); }) {
      f.get_size = [](nbdkit_next *next, void *h) {
        return guard(int64_t{-1},
                     [&] { return static_cast<int64_t>(self(h).get_size(Next(next))); });
      };
    }
    if constexpr (requires(C c, Next n) { c.export_description(n); }) {
      f.export_description = [](nbdkit_next *next, void *h) {
        return guard(static_cast<const char *>(nullptr), [&] {
          return nbdkit_strdup_intern(self(h).export_description(Next(next)).c_str());
        });
      };
    }
    if constexpr (requires(C c, Next n) { c.block_size(n); }) {
      f.block_size = [](nbdkit_next *next, void *h, uint32_t *minimum, uint32_t *preferred,
                        uint32_t *maximum) {
        return run([&] {
          BlockSize size = self(h).block_size(Next(next));
          *minimum = size.minimum;
          *preferred = size.preferred;
          *maximum = size.maximum;
        });
      };
    }
    REPLICATE_BIND(can_write)
    REPLICATE_BIND(can_flush)
    REPLICATE_BIND(is_rotational)
    REPLICATE_BIND(can_trim)
    REPLICATE_BIND(can_zero)
    REPLICATE_BIND(can_fast_zero)
    REPLICATE_BIND(can_extents)
    REPLICATE_BIND(can_fua)
    REPLICATE_BIND(can_multi_conn)
    REPLICATE_BIND(can_cache)
  }
#undef REPLICATE_BIND

  static void bind_data(nbdkit_filter &f) {
    if constexpr (requires(C c, Next n) { c.pread(n, {}, 0); }) {
      f.pread = [](nbdkit_next *next, void *h, void *buf, uint32_t count, uint64_t offset, uint32_t,
                   int *err) {
        const std::span to(static_cast<std::byte *>(buf), count);
        return run([&] { self(h).pread(Next(next), to, offset); }, err);
      };
    }
    if constexpr (requires(C c, Next n) { c.pwrite(n, {}, 0, 0); }) {
      f.pwrite = [](nbdkit_next *next, void *h, const void *buf, uint32_t count, uint64_t offset,
                    uint32_t flags, int *err) {
        const std::span from(static_cast<const std::byte *>(buf), count);
        return run([&] { self(h).pwrite(Next(next), from, offset, flags); }, err);
      };
    }
    if constexpr (requires(C c, Next n) { c.flush(n); }) {
      f.flush = [](nbdkit_next *next, void *h, uint32_t, int *err) {
        return run([&] { self(h).flush(Next(next)); }, err);
      };
    }
    if constexpr (requires(C c, Next n) { c.trim(n, 0, 0, 0); }) {
      f.trim = [](nbdkit_next *next, void *h, uint32_t count, uint64_t offset, uint32_t flags,
                  int *err) {
        return run([&] { self(h).trim(Next(next), count, offset, flags); }, err);
      };
    }
    if constexpr (requires(C c, Next n) { c.zero(n, 0, 0, 0); }) {
      f.zero = [](nbdkit_next *next, void *h, uint32_t count, uint64_t offset, uint32_t flags,
                  int *err) {
        return run([&] { self(h).zero(Next(next), count, offset, flags); }, err);
      };
    }
    f.extents = [](nbdkit_next *next, void *h, uint32_t count, uint64_t offset, uint32_t flags,
                   nbdkit_extents *extents, int *err) {
      return run(
          [&] {
            ExtentList list(extents, offset, count);
            if constexpr (requires(C c, Next n) { c.extents(n, 0, 0, 0, list); }) {
              self(h).extents(Next(next), count, offset, flags, list);
            } else {
              static_cast<void>(h);
              for (const auto &extent : Next(next).extents(count, offset, flags)) list.add(extent);
            }
          },
          err);
    };
    if constexpr (requires(C c, Next n) { c.cache(n, 0, 0); }) {
      f.cache = [](nbdkit_next *next, void *h, uint32_t count, uint64_t offset, uint32_t,
                   int *err) {
        return run([&] { self(h).cache(Next(next), count, offset); }, err);
      };
    }
  }
};

}  // namespace nbdkit

#define REPLICATE_REGISTER_FILTER(F)                                  \
  static nbdkit_filter the_filter = nbdkit::FilterBinding<F>::make(); \
  NBDKIT_REGISTER_FILTER(the_filter)
