// SPDX-License-Identifier: BSD-3-Clause
//
// One destination, as the server and the broadcaster use it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/util/error.hpp"
#include "filters/fanout/destination/data.hpp"
#include "filters/fanout/destination/requests.hpp"

namespace fanout {

// Lives as long as the server. From open() to close() there are clients, or what they left is being
// drained; the methods for requests may be called then, from any thread. The others are called by
// one thread at a time.
class Destination {
 public:
  // `place`: in the command line's order. Reads the state file. Throws util::Error.
  Destination(size_t place, DestinationSettings settings, const std::string &state_directory,
              Counters &counters, Environment environment);
  ~Destination();

  const std::string &name() const { return data_.name(); }
  const OwedFile &owed_file() const { return data_.owed_file; }

  // When the first client comes, in this order. open() throws if what is owed belongs to another
  // primary; connect_first() connects if there is a slot, and throws if that fails and the
  // destination may not come later (connecting.hpp); start() starts the thread.
  void open(uint64_t primary_size, const std::string &export_name);
  void connect_first();
  void start();

  // The last client has gone: what is owed is copied, flushed and verified, then the connection is
  // closed.
  void drain();
  void resume();                // a client has come while it drained
  bool at_end() const;          // of draining: everything is done, or it is given up
  bool has_much_to_do() const;  // before draining: something is to be copied or read back

  // Requests that wait for the limiter fail, and the thread ends after its step. Does not wait; so
  // several destinations are stopped at the same time.
  void stop();
  // Waits for the thread and for requests under way, disconnects, saves what is owed and logs the
  // totals.
  void close();

  // What the server offers, when it was last connected; nothing if it never was.
  std::optional<nbd::Info> info() const;
  void set_info(const nbd::Info &info);
  void is_absent(const util::Error &error);  // it could not be connected, and the log says so

  // For requests.
  std::unique_ptr<PendingChange> begin_change(const Change &change);
  std::unique_ptr<PendingFlush> begin_flush();
  void save_at_risk();  // after the end of a flush (saving.hpp)
  // Throws util::Error, with the name and the reason, if the destination has failed.
  void check() const;

  void wake();  // something has changed that the thread may wait for
  void sample_counters();
  std::string progress() const;  // one line

 private:
  DestinationData data_;
  std::thread thread_;
};

using DestinationList = std::vector<std::unique_ptr<Destination>>;

}  // namespace fanout
