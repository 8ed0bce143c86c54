// SPDX-License-Identifier: BSD-3-Clause
//
// How the primary is read in the background: through the connection of a client that is there.
//
// Not through one of our own: nbdkit gives a background connection no export name, so a plugin with
// several exports could not be read, and it would not keep to the thread model of a plugin that wants
// its requests one at a time. What a client is connected to can be read, and is what it writes.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <span>
#include <utility>

namespace fanout {

// May be used from any thread.
class Readers {
 public:
  using Read = std::function<void(std::span<std::byte> buffer, uint64_t offset)>;
  struct Entry {
    Read read;
    size_t users = 0;
    bool leaving = false;
  };
  using Id = std::list<Entry>::iterator;

  Id add(Read read) {
    std::lock_guard guard(lock_);
    return entries_.insert(entries_.begin(), Entry{std::move(read)});
  }

  // Waits for the reads that are under way through it.
  void remove(Id id) {
    std::unique_lock guard(lock_);
    id->leaving = true;
    idle_.wait(guard, [&] { return id->users == 0; });
    entries_.erase(id);
  }

  bool any() const {
    std::lock_guard guard(lock_);
    for (const Entry &e : entries_) {
      if (!e.leaving) return true;
    }
    return false;
  }

  // False if there is nobody to read through. What the reading throws goes on to the caller.
  bool read(std::span<std::byte> buffer, uint64_t offset) {
    Id id;
    {
      std::lock_guard guard(lock_);
      id = entries_.begin();
      while (id != entries_.end() && id->leaving) ++id;
      if (id == entries_.end()) return false;
      ++id->users;
    }
    struct Done {
      Readers &readers;
      Id id;
      ~Done() {
        std::lock_guard guard(readers.lock_);
        if (--id->users == 0) readers.idle_.notify_all();
      }
    } done{*this, id};
    id->read(buffer, offset);
    return true;
  }

 private:
  mutable std::mutex lock_;  // protects what follows; not held while anything is read
  std::condition_variable idle_;
  std::list<Entry> entries_;
};

}  // namespace fanout
