// SPDX-License-Identifier: BSD-3-Clause
//
// A plugin as a class. P is made when nbdkit loads the module and destroyed when it unloads it;
// P::open returns a unique_ptr to a class of its own, which lives as long as the connection. A
// callback exists if P (or the connection) has a method of its name, with these shapes:
//
//   struct P {
//     static constexpr const char *name, *longname, *description, *config_help;
//     static constexpr const char *magic_config_key;                          // optional
//     bool config(const std::string &key, const std::string &value);          // false: not ours
//     void config_complete();  void get_ready();  void after_fork();  void cleanup();
//     void dump_plugin();                 // more than dump.hpp prints
//     static Libraries libraries();       // for dump.hpp
//     void list_exports(bool readonly, bool is_tls, ExportList &);
//     std::string default_export(bool readonly, bool is_tls);
//     std::unique_ptr<C> open(bool readonly);
//   };
//   struct C {
//     uint64_t get_size();
//     bool can_write(), can_flush(), is_rotational(), can_trim(), can_zero(), can_fast_zero(),
//          can_extents(), can_multi_conn();
//     Fua can_fua();  Cache can_cache();
//     std::string export_description();  BlockSize block_size();
//     void pread(std::span<std::byte>, uint64_t offset);
//     void pwrite(std::span<const std::byte>, uint64_t offset, uint32_t flags);
//     void flush();
//     void trim(uint32_t count, uint64_t offset, uint32_t flags);             // also zero
//     void extents(uint32_t count, uint64_t offset, uint32_t flags, ExtentList &);
//     void cache(uint32_t count, uint64_t offset);
//   };
//
// Flags are nbdkit's own (NBDKIT_FLAG_FUA ...). The thread model is PARALLEL: any method of P and C
// may be called from several threads. A method fails by throwing util::Error.
#pragma once

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <memory>
#include <span>
#include <string>

#include "common/nbdkit/dump.hpp"
#include "common/nbdkit/error.hpp"
#include "common/nbdkit/params.hpp"
#include "common/nbdkit/slot.hpp"
#include "common/nbdkit/types.hpp"
#include "common/util/error.hpp"

namespace nbdkit {

template <typename P>
class PluginBinding {
 public:
  static nbdkit_plugin make() {
    nbdkit_plugin p = {};
    p.name = P::name;
    p.longname = P::longname;
    p.version = REPLICATE_VERSION;
    p.description = P::description;
    p.config_help = P::config_help;
    if constexpr (requires { P::magic_config_key; }) p.magic_config_key = P::magic_config_key;
    p.errno_is_preserved = 1;
    bind_server(p);
    bind_connection(p);
    bind_data(p);
    return p;
  }

 private:
  using C = typename decltype(std::declval<P &>().open(true))::element_type;
  static inline Slot<P> plugin;

  static C &self(void *handle) { return *static_cast<C *>(handle); }

  template <typename Body>
  static int run(Body &&body) {
    return guard(-1, [&] {
      body();
      return 0;
    });
  }

  static void bind_server(nbdkit_plugin &p) {
    p.load = [] { guard(0, [] { return plugin = std::make_unique<P>(), 0; }); };
    p.unload = [] { guard(0, [] { return plugin.reset(), 0; }); };
    p.config = [](const char *key, const char *value) {
      return run([&] {
        if (!plugin->config(key, value)) {
          fail_unknown_parameter(key, P::name + std::string("-plugin"));
        }
      });
    };
    if constexpr (requires(P x) { x.config_complete(); }) {
      p.config_complete = [] { return run([] { plugin->config_complete(); }); };
    }
    if constexpr (requires(P x) { x.get_ready(); }) {
      p.get_ready = [] { return run([] { plugin->get_ready(); }); };
    }
    if constexpr (requires(P x) { x.after_fork(); }) {
      p.after_fork = [] { return run([] { plugin->after_fork(); }); };
    }
    if constexpr (requires(P x) { x.cleanup(); }) {
      p.cleanup = [] { run([] { plugin->cleanup(); }); };
    }
    p.dump_plugin = [] {
      run([] {
        print_dump<P>();
        if constexpr (requires(P x) { x.dump_plugin(); }) plugin->dump_plugin();
      });
    };
    if constexpr (requires(P x, ExportList l) { x.list_exports(true, true, l); }) {
      p.list_exports = [](int readonly, int is_tls, nbdkit_exports *exports) {
        return run([&] {
          ExportList list(exports);
          plugin->list_exports(readonly, is_tls, list);
        });
      };
    }
    if constexpr (requires(P x) { x.default_export(true, true); }) {
      p.default_export = [](int readonly, int is_tls) {
        return guard(static_cast<const char *>(nullptr), [&] {
          return nbdkit_strdup_intern(plugin->default_export(readonly, is_tls).c_str());
        });
      };
    }
  }

#define REPLICATE_BIND_BOOL(method)                                                         \
  if constexpr (requires(C c) { c.method(); }) {                                            \
    p.method = [](void *h) { return guard(-1, [&] { return self(h).method() ? 1 : 0; }); }; \
  }

  static void bind_connection(nbdkit_plugin &p) {
    p.open = [](int readonly) {
      return guard(static_cast<void *>(nullptr), [&] {
        std::unique_ptr<C> connection = plugin->open(readonly);
        return static_cast<void *>(connection.release());
      });
    };
    p.close = [](void *h) { guard(0, [&] { return std::unique_ptr<C>(&self(h)).reset(), 0; }); };
    p.get_size = [](void *h) {
      return guard(int64_t{-1}, [&] { return static_cast<int64_t>(self(h).get_size()); });
    };
    REPLICATE_BIND_BOOL(can_write)
    REPLICATE_BIND_BOOL(can_flush)
    REPLICATE_BIND_BOOL(is_rotational)
    REPLICATE_BIND_BOOL(can_trim)
    REPLICATE_BIND_BOOL(can_zero)
    REPLICATE_BIND_BOOL(can_fast_zero)
    REPLICATE_BIND_BOOL(can_extents)
    REPLICATE_BIND_BOOL(can_multi_conn)
    if constexpr (requires(C c) { c.can_fua(); }) {
      p.can_fua = [](void *h) { return guard(-1, [&] { return int(self(h).can_fua()); }); };
    }
    if constexpr (requires(C c) { c.can_cache(); }) {
      p.can_cache = [](void *h) { return guard(-1, [&] { return int(self(h).can_cache()); }); };
    }
    if constexpr (requires(C c) { c.export_description(); }) {
      p.export_description = [](void *h) {
        return guard(static_cast<const char *>(nullptr), [&]() -> const char * {
          std::string text = self(h).export_description();
          return text.empty() ? nullptr : nbdkit_strdup_intern(text.c_str());  // null: none
        });
      };
    }
    if constexpr (requires(C c) { c.block_size(); }) {
      p.block_size = [](void *h, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum) {
        return run([&] {
          BlockSize size = self(h).block_size();
          *minimum = size.minimum;
          *preferred = size.preferred;
          *maximum = size.maximum;
        });
      };
    }
  }
#undef REPLICATE_BIND_BOOL

  static void bind_data(nbdkit_plugin &p) {
    p.pread = [](void *h, void *buf, uint32_t count, uint64_t offset, uint32_t) {
      return run([&] { self(h).pread({static_cast<std::byte *>(buf), count}, offset); });
    };
    if constexpr (requires(C c) { c.pwrite({}, 0, 0); }) {
      p.pwrite = [](void *h, const void *buf, uint32_t count, uint64_t offset, uint32_t flags) {
        return run([&] {
          self(h).pwrite({static_cast<const std::byte *>(buf), count}, offset, flags);
        });
      };
    }
    if constexpr (requires(C c) { c.flush(); }) {
      p.flush = [](void *h, uint32_t) { return run([&] { self(h).flush(); }); };
    }
    if constexpr (requires(C c) { c.trim(0, 0, 0); }) {
      p.trim = [](void *h, uint32_t count, uint64_t offset, uint32_t flags) {
        return run([&] { self(h).trim(count, offset, flags); });
      };
    }
    if constexpr (requires(C c) { c.zero(0, 0, 0); }) {
      p.zero = [](void *h, uint32_t count, uint64_t offset, uint32_t flags) {
        return run([&] { self(h).zero(count, offset, flags); });
      };
    }
    if constexpr (requires(C c, ExtentList l) { c.extents(0, 0, 0, l); }) {
      p.extents = [](void *h, uint32_t count, uint64_t offset, uint32_t flags,
                     nbdkit_extents *extents) {
        return run([&] {
          ExtentList list(extents, offset, count);
          self(h).extents(count, offset, flags, list);
        });
      };
    }
    if constexpr (requires(C c) { c.cache(0, 0); }) {
      p.cache = [](void *h, uint32_t count, uint64_t offset, uint32_t) {
        return run([&] { self(h).cache(count, offset); });
      };
    }
  }
};

}  // namespace nbdkit

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define REPLICATE_REGISTER_PLUGIN(P)                                  \
  static nbdkit_plugin the_plugin = nbdkit::PluginBinding<P>::make(); \
  NBDKIT_REGISTER_PLUGIN(the_plugin)
