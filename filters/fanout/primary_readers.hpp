// SPDX-License-Identifier: BSD-3-Clause
//
// How destinations that catch up read the primary: through the connection of a client, as long as
// there is one.
//
// A client's connection has the export name, and keeps to the thread model of the plugin. A
// background connection has no export name, so it cannot read every primary; it is added only while
// the destinations are drained after the last client (FanoutServer).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <span>
#include <utility>

#include "common/util/mutex.hpp"

namespace fanout {

// May be used from any thread.
class PrimaryReaders {
 public:
  using Read = std::function<void(std::span<std::byte> buffer, uint64_t offset)>;
  struct Entry {
    Read read;
    size_t users = 0;
    bool leaving = false;
  };
  using Id = std::list<Entry>::iterator;

  Id add(Read read) {
    util::MutexLock lock(mutex_);
    return entries_.insert(entries_.begin(), Entry{std::move(read)});
  }

  // Waits for the reads that are under way through it.
  void remove(Id id) {
    util::MutexLock lock(mutex_);
    id->leaving = true;
    while (id->users > 0) idle_.wait(lock);
    entries_.erase(id);
  }
  // The same for each. Nobody else removes one meanwhile.
  void remove_all() {
    util::MutexLock lock(mutex_);
    for (Entry &e : entries_) e.leaving = true;
    for (const Entry &e : entries_) {
      while (e.users > 0) idle_.wait(lock);
    }
    entries_.clear();
  }

  bool any() const {
    util::MutexLock lock(mutex_);
    for (const Entry &e : entries_) {
      if (!e.leaving) return true;
    }
    return false;
  }

  // False if there is no connection. Throws what the read throws.
  bool read(std::span<std::byte> buffer, uint64_t offset) {
    Id id;
    {
      util::MutexLock lock(mutex_);
      id = entries_.begin();
      while (id != entries_.end() && id->leaving) ++id;
      if (id == entries_.end()) return false;
      ++id->users;
    }
    struct Done {
      PrimaryReaders &readers;
      Id id;
      ~Done() {
        util::MutexLock lock(readers.mutex_);
        if (--id->users == 0) readers.idle_.notify_all();
      }
    } done{*this, id};
    id->read(buffer, offset);
    return true;
  }

 private:
  mutable util::Mutex mutex_;  // not held while the primary is read
  util::Condition idle_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fanout
