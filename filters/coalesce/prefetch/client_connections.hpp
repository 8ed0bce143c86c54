// SPDX-License-Identifier: BSD-3-Clause
//
// The connections of clients that workers may read through.
#pragma once

#include <algorithm>
#include <vector>

#include "filters/coalesce/lower_connection.hpp"

namespace coalesce {

// Does not own the connections. Not synchronised.
class ClientConnections {
 public:
  void add(LowerConnection &connection) { entries_.push_back({&connection}); }
  // From now on least_busy() does not return the connection. Workers may still be using it.
  void retire(const LowerConnection &connection) {
    if (Entry *entry = find(connection)) entry->retired = true;
  }
  void remove(const LowerConnection &connection) {
    std::erase_if(entries_, [&](const Entry &e) { return e.connection == &connection; });
  }

  // The connection that the fewest workers use; nullptr if there is none.
  LowerConnection *least_busy() const {
    const Entry *best = nullptr;
    for (const Entry &e : entries_) {
      if (!e.retired && (best == nullptr || e.users < best->users)) best = &e;
    }
    return best == nullptr ? nullptr : best->connection;
  }
  // A worker begins and ends to use the connection.
  void acquire(const LowerConnection &connection) {
    if (Entry *entry = find(connection)) ++entry->users;
  }
  void release(const LowerConnection &connection) {
    if (Entry *entry = find(connection)) --entry->users;
  }
  bool in_use(const LowerConnection &connection) {
    const Entry *entry = find(connection);
    return entry != nullptr && entry->users > 0;
  }

 private:
  struct Entry {
    LowerConnection *connection = nullptr;
    unsigned users = 0;  // workers
    bool retired = false;
  };
  Entry *find(const LowerConnection &connection) {
    for (Entry &e : entries_) {
      if (e.connection == &connection) return &e;
    }
    return nullptr;
  }
  std::vector<Entry> entries_;
};

}  // namespace coalesce
