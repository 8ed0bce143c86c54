// SPDX-License-Identifier: BSD-3-Clause
//
// The main program of every unit test: Catch2 with a reporter of one TAP line a test case (run with
// -r cases). Catch2's own TAP reporter breaks lines wherever an expanded value does.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <chrono>
#include <iomanip>

namespace {

#if CATCH_VERSION_MAJOR >= 3
using CaseReporterBase = Catch::StreamingReporterBase;
using Handled = void;
#else
class CaseReporter;
using CaseReporterBase = Catch::StreamingReporterBase<CaseReporter>;
using Handled = bool;  // whether what was noted for the assertion is done with
#endif

// "# " before every line, so that TAP takes it for a comment.
std::string comment(const std::string &text) {
  std::string out = "# ";
  for (char c : text) {
    out += c;
    if (c == '\n') out += "# ";
  }
  return out + "\n";
}

class CaseReporter : public CaseReporterBase {
 public:
#if CATCH_VERSION_MAJOR >= 3
  explicit CaseReporter(Catch::ReporterConfig &&config)
      : CaseReporterBase(std::move(config)), out_(m_stream) {}
#else
  explicit CaseReporter(const Catch::ReporterConfig &config) : CaseReporterBase(config), out_(stream) {}
#endif
  static std::string getDescription() { return "one TAP line a test case"; }

  // What a program that a timeout has ended says last: the case that it was in, and since when.
  void testCaseStarting(const Catch::TestCaseInfo &info) override {
    std::chrono::duration<double> since = std::chrono::steady_clock::now() - start_;
    out_ << "# " << std::fixed << std::setprecision(1) << since.count() << " s: " << name(info) << std::endl;
    CaseReporterBase::testCaseStarting(info);
  }

  void assertionStarting(const Catch::AssertionInfo &) override {}
  Handled assertionEnded(const Catch::AssertionStats &stats) override {
    if (!stats.assertionResult.isOk()) note_failure(stats);
    return Handled(true);
  }

  void testCaseEnded(const Catch::TestCaseStats &stats) override {
    bool ok = stats.totals.assertions.allOk();
    out_ << failures_ << (ok ? "ok " : "not ok ") << ++count_ << " - " << name(stats.testInfo)
         << " (" << stats.totals.assertions.total() << " assertions)" << std::endl;
    failures_.clear();
    CaseReporterBase::testCaseEnded(stats);
  }

  void testRunEnded(const Catch::TestRunStats &stats) override {
    out_ << "1.." << count_ << std::endl;
    CaseReporterBase::testRunEnded(stats);
  }

 private:
  void note_failure(const Catch::AssertionStats &stats) {
    const Catch::AssertionResult &result = stats.assertionResult;
    auto where = result.getSourceInfo();
    failures_ += comment(std::string(where.file) + ":" + std::to_string(where.line) + ": " +
                         result.getExpressionInMacro());
    if (result.hasExpandedExpression()) failures_ += comment(result.getExpandedExpression());
    if (result.hasMessage()) failures_ += comment(std::string(result.getMessage()));
    for (const auto &info : stats.infoMessages) failures_ += comment(info.message);
  }

  static const std::string &name(const Catch::TestCaseInfo &info) { return info.name; }
  // Catch2 3 has a pointer.
  static const std::string &name(const Catch::TestCaseInfo *info) { return info->name; }

  std::ostream &out_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  int count_ = 0;
  std::string failures_;
};

CATCH_REGISTER_REPORTER("cases", CaseReporter)

}  // namespace

int main(int argc, char *argv[]) { return Catch::Session().run(argc, argv); }
