// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/cluster_allocator.hpp"

#include <fcntl.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "tests/unit/qcow2/failure_support.hpp"

using namespace qcow2;
using namespace qcow2::test;

TEST_CASE("no cluster is allocated where the file could not be opened again, and nothing is lost") {
  Directory directory;
  const std::string path = directory.file("a");
  ImageFile file(util::open_file(path, O_RDWR | O_CREAT), path);
  const Geometry geometry(16, 1 << 20);
  std::vector<uint64_t> blocks(max_file_clusters / geometry.refcounts_per_block(), 65536);
  ClusterAllocator allocator(geometry, file, max_file_clusters - 3, blocks);
  CHECK(allocator.allocate(2) == geometry.start_of(max_file_clusters - 3));
  CHECK(error_of([&] { allocator.allocate(2); }) == EFBIG);
  CHECK(allocator.end() == max_file_clusters - 1);
  CHECK(allocator.allocate(1) == geometry.start_of(max_file_clusters - 1));
  CHECK(error_of([&] { allocator.allocate(1); }) == EFBIG);
  CHECK(allocator.end() == max_file_clusters);
}
