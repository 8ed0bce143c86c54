# SPDX-License-Identifier: BSD-3-Clause
"""run.py [NAME...]: runs the test_*.py in this directory, or the cases of those names (test_command.Images). Prints TAP.

SOURCE is set by meson test: the source directory.
"""
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(os.environ["SOURCE"], "scripts"), os.path.dirname(os.path.abspath(__file__))]


class Tap(unittest.TextTestResult):
    """A line for each test, as scripts/test counts them."""

    def stopTest(self, test):
        bad = any(test is one for one, _ in (*self.failures, *self.errors))
        print(f"{'not ' if bad else ''}ok {self.testsRun} {test}", flush=True)
        super().stopTest(test)


if __name__ == "__main__":
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromNames(sys.argv[1:]) if sys.argv[1:] else loader.discover(os.path.dirname(__file__))
    print(f"1..{suite.countTestCases()}")
    sys.exit(not unittest.TextTestRunner(resultclass=Tap).run(suite).wasSuccessful())
