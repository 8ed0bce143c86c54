// SPDX-License-Identifier: BSD-3-Clause
//
// The main program of every unit test: Catch2 with a reporter of one TAP line a test case (run with
// -r cases). Catch2's own TAP reporter breaks lines wherever an expanded value does.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

namespace {

// "# " before every line, so that TAP takes it for a comment.
std::string comment(const std::string &text) {
  std::string out = "# ";
  for (char c : text) {
    out += c;
    if (c == '\n') out += "# ";
  }
  return out + "\n";
}

class CaseReporter : public Catch::StreamingReporterBase<CaseReporter> {
 public:
  using StreamingReporterBase::StreamingReporterBase;
  static std::string getDescription() { return "one TAP line a test case"; }

  void assertionStarting(const Catch::AssertionInfo &) override {}
  bool assertionEnded(const Catch::AssertionStats &stats) override {
    const Catch::AssertionResult &result = stats.assertionResult;
    if (result.isOk()) return true;
    auto where = result.getSourceInfo();
    failures_ += comment(std::string(where.file) + ":" + std::to_string(where.line) + ": " +
                         result.getExpressionInMacro());
    if (result.hasExpandedExpression()) failures_ += comment(result.getExpandedExpression());
    if (result.hasMessage()) failures_ += comment(std::string(result.getMessage()));
    for (const auto &info : stats.infoMessages) failures_ += comment(info.message);
    return true;
  }

  void testCaseEnded(const Catch::TestCaseStats &stats) override {
    stream << failures_ << (stats.totals.assertions.allOk() ? "ok " : "not ok ") << ++count_
           << " - " << stats.testInfo.name << " (" << stats.totals.assertions.total()
           << " assertions)" << std::endl;
    failures_.clear();
    StreamingReporterBase::testCaseEnded(stats);
  }

  void testRunEnded(const Catch::TestRunStats &stats) override {
    stream << "1.." << count_ << std::endl;
    StreamingReporterBase::testRunEnded(stats);
  }

 private:
  int count_ = 0;
  std::string failures_;
};

CATCH_REGISTER_REPORTER("cases", CaseReporter)

}  // namespace
