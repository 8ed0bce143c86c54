# SPDX-License-Identifier: BSD-3-Clause
"""run.py [-k PATTERN] [NAME...]: runs the test_*.py in this directory, or those of these names (test_command.Images), or the
cases with the pattern in their names, as unittest takes it. Prints TAP.

SOURCE is set by meson test: the source directory.
"""
import argparse
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(os.environ["SOURCE"], "scripts"), os.path.dirname(os.path.abspath(__file__))]


class Tap(unittest.TextTestResult):
    """A line for each test, as scripts/test counts them."""

    def stopTest(self, test):
        bad = any(test in (one, getattr(one, "test_case", None)) for one, _ in (*self.failures, *self.errors))  # or a subTest
        print(f"{'not ' if bad else ''}ok {self.testsRun} {test}", flush=True)
        super().stopTest(test)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-k", dest="pattern")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    loader = unittest.TestLoader()
    if given.pattern:
        loader.testNamePatterns = [given.pattern if "*" in given.pattern else f"*{given.pattern}*"]
    suite = loader.loadTestsFromNames(given.names) if given.names else loader.discover(os.path.dirname(__file__))
    print(f"1..{suite.countTestCases()}")
    sys.exit(not unittest.TextTestRunner(resultclass=Tap).run(suite).wasSuccessful())
