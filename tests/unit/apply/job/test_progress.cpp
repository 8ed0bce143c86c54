// SPDX-License-Identifier: BSD-3-Clause
#include <vector>

#include "common/util/file.hpp"
#include "tests/unit/apply/job/job_setup.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;

TEST_CASE("progress is logged when it changes, and the statistics agree with it") {
  JobSetup s;
  std::vector<std::string> lines;
  s.settings.stats_path = s.directory.file("stats");
  s.job = std::make_unique<Job>(
      std::make_unique<FakeSource>(s.disk), s.settings,
      util::Log([&](util::Level, const std::string &line) { lines.push_back(line); }));
  auto client = s.join();
  s.copy(*client, {0, 30});
  s.job->tick();
  CHECK(lines.back() ==
        "apply: 21 of 36 bytes of the delta are covered, 36 bytes are owed; 1 clients");
  client->flush();
  client->zero({0, size}, {});  // makes what is data missing
  s.job->tick();
  CHECK(lines.back() ==
        "apply: 11 of 36 bytes of the delta are covered, 36 bytes are owed; 1 clients");
  s.copy(*client, {0, size});
  client->flush();
  client->finish();
  client.reset();
  s.job->tick();
  CHECK(lines.back() ==
        "apply: 36 of 36 bytes of the delta are covered, 0 bytes are owed; 0 clients");
  auto count = lines.size();
  s.job->tick();
  CHECK(lines.size() == count);  // nothing has changed, and there are no clients
  auto stats = *util::read_file(s.settings.stats_path);
  for (const char *line :
       {"nbdkit_apply_delta_bytes 36\n", "nbdkit_apply_covered_bytes 36\n",
        "nbdkit_apply_owed_bytes 0\n", "nbdkit_apply_written_bytes_total 57\n",
        "nbdkit_apply_zeroed_bytes_total 36\n", "nbdkit_apply_dropped_bytes_total 65\n",
        "# TYPE nbdkit_apply_dropped_bytes_total counter\n"}) {
    INFO(stats);
    CHECK_THAT(stats, Catch::Contains(line));
  }
  s.settings.stats_path = "/nonexistent/stats";
  s.job.reset();
  CHECK_THROWS_WITH(s.start(), Catch::Contains("apply-stats"));
}
