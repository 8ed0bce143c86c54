/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A plugin for nbdkit, also for nbdkit cc: a file that is as slow as VMware's library. Each connection
 * handles one request at a time, which takes 2 ms, and then 140 MB/s.
 *
 * latency=MICROSECONDS rate=MB/S (0: no limit) parallel=1 make it another source: with parallel=1 a
 * connection handles any number of requests at the same time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static int fd = -1;
static int64_t size;
static long latency = 2000; /* microseconds */
static long rate = 140;     /* MB/s */
static int parallel = 0;

static int thread_model(void) {
  return parallel ? NBDKIT_THREAD_MODEL_PARALLEL : NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS;
}

static int config(const char *key, const char *value) {
  if (strcmp(key, "latency") == 0) {
    latency = atol(value);
    return 0;
  }
  if (strcmp(key, "rate") == 0) {
    rate = atol(value);
    return 0;
  }
  if (strcmp(key, "parallel") == 0) {
    parallel = atoi(value);
    return 0;
  }
  if (strcmp(key, "file") != 0) {
    nbdkit_error("unknown parameter %s", key);
    return -1;
  }
  fd = open(value, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || (size = lseek(fd, 0, SEEK_END)) < 0) {
    nbdkit_error("%s: %m", value);
    return -1;
  }
  return 0;
}

static void *open_(int readonly) {
  (void)readonly;
  return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t get_size(void *handle) {
  (void)handle;
  return size;
}

static int yes(void *handle) {
  (void)handle;
  return 1;
}

static int pread_(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags) {
  (void)handle, (void)flags;
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  int64_t nanoseconds = until.tv_nsec + latency * 1000;
  if (rate > 0) nanoseconds += (int64_t)count * 1000 / rate;
  until.tv_sec += nanoseconds / 1000000000;
  until.tv_nsec = nanoseconds % 1000000000;
  if (pread(fd, buffer, count, offset) != (ssize_t)count) {
    nbdkit_error("pread: %m");
    return -1;
  }
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) continue;
  return 0;
}

static int extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
                   struct nbdkit_extents *list) {
  (void)handle;
  uint64_t end = offset + count;
  while (offset < end) {
    off_t data = lseek(fd, offset, SEEK_DATA);
    if (data < 0) data = end;
    uint64_t hole_end = (uint64_t)data < end ? (uint64_t)data : end;
    if (offset < hole_end &&
        nbdkit_add_extent(list, offset, hole_end - offset,
                          NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO) < 0)
      return -1;
    if (hole_end == end) break;
    uint64_t hole = lseek(fd, data, SEEK_HOLE);
    if (hole > end) hole = end;
    if (nbdkit_add_extent(list, data, hole - data, 0) < 0) return -1;
    if (flags & NBDKIT_FLAG_REQ_ONE) break;
    offset = hole;
  }
  return 0;
}

static struct nbdkit_plugin plugin = {
    .name = "vddk-like",
    .config = config,
    .thread_model = thread_model,
    .open = open_,
    .get_size = get_size,
    .can_multi_conn = yes,
    .can_extents = yes,
    .pread = pread_,
    .extents = extents,
};

NBDKIT_REGISTER_PLUGIN(plugin)
