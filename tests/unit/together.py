#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""together.py OUTPUT TEST.cpp...: makes one file to compile of several tests.

What the tests include comes first. What then stands in a test comes in a namespace of its own, for tests have short
names of their own (Setup, M), the same in many files. Messages and debuggers name the test's own file and line.
"""

import pathlib
import re
import sys

INCLUDE = re.compile(r"^#include .*", re.MULTILINE)


def main(output, *tests):
    texts = {test: pathlib.Path(test).read_text() for test in tests}
    includes = dict.fromkeys(line for text in texts.values() for line in INCLUDE.findall(text))
    bodies = (f'namespace test_{number} {{\n#line 1 "{test}"\n{INCLUDE.sub("", text)}\n}}\n'
              for number, (test, text) in enumerate(texts.items()))
    pathlib.Path(output).write_text("\n".join(includes) + "\n" + "".join(bodies))


main(*sys.argv[1:])
