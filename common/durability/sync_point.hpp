// SPDX-License-Identifier: BSD-3-Clause
//
// Named points in the code at which a test can hold a thread, so that a race is made to happen instead of
// being hoped for. They exist only in builds with the tests (REPLICATE_SYNC_POINTS); elsewhere
// REPLICATE_SYNC_POINT() is nothing.
//
// In a unit test:
//
//   SyncPoint::Hold hold("qcow2.table_published");
//   std::jthread writer([&] { image.write(...); });
//   hold.wait();      // the writer is there
//   ...
//   hold.release();   // or the end of its scope
//
// For a server: in the directory REPLICATE_SYNC_DIR a file NAME.hold makes every thread that comes to the
// point create NAME.held and wait until NAME.hold is removed.
#pragma once

#ifdef REPLICATE_SYNC_POINTS

#include <string>

namespace durability {

class SyncPoint {
 public:
  // Called by the code under test. Returns at once unless a test holds the point.
  static void reach(const char *name);

  // Holds the first thread that comes to the point; later ones pass.
  class Hold {
   public:
    explicit Hold(std::string name);
    ~Hold();
    Hold(const Hold &) = delete;
    Hold &operator=(const Hold &) = delete;

    void wait();     // until a thread is held there
    void release();  // lets it go on; does nothing if none is held, and none will be
    bool reached() const;

   private:
    friend class SyncPoint;
    const std::string name_;
    bool reached_ = false;
    bool released_ = false;
  };
};

}  // namespace durability

#define REPLICATE_SYNC_POINT(name) ::durability::SyncPoint::reach(name)
#else
#define REPLICATE_SYNC_POINT(name) static_cast<void>(0)
#endif
