#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""tap.py TESTLOG.json ...: the logs of meson test as one TAP stream, and "N passed, N failed".

A test program that ended badly without saying so in TAP (a crash, a timeout, a plan not kept) counts as
one failure. What failed is told once more at the end, where who reads only the end of a log sees it.
Exits 1 if anything failed, and 2 if no test was run at all.
"""

import json
import os
import re
import sys

# The end of a log repeats so many failures, and so many lines of each.
FAILURES = 20
LINES = 30

LINE = re.compile(r"(not )?ok\b *\d* *-? *(.*)")


def results(log):
    """Yields (passed, skipped, description, diagnostics) for each test point in a testlog.json."""
    build = os.path.basename(os.path.dirname(os.path.dirname(os.path.abspath(log))))
    for text in open(log, encoding="utf-8"):
        program = json.loads(text)
        prefix = f"{build}: {program['name']}: "
        lines = program.get("stdout", "").splitlines()
        if program["result"] == "OK" and not any(map(LINE.match, lines)):
            yield True, False, prefix + "exits with 0", []
        failed = False
        for i, line in enumerate(lines):
            match = LINE.match(line)
            if not match:
                continue
            failed = failed or bool(match[1])
            # Comments stand before the line (unit tests) or behind it (bats).
            near = []
            if match[1]:
                before = i
                while before > 0 and lines[before - 1].startswith("#"):
                    before -= 1
                after = i + 1
                while after < len(lines) and not LINE.match(lines[after]):
                    after += 1
                near = lines[before:i] + lines[i + 1 : after]
            yield not match[1], "# skip" in match[2].lower(), prefix + match[2], near
        if program["result"] not in ("OK", "SKIP", "EXPECTEDFAIL") and not failed:
            tail = (program.get("stdout", "") + program.get("stderr", "")).splitlines()[-20:]
            yield False, False, prefix + "ended as " + program["result"], tail


def repeat(failures):
    """Prints the failures as comments."""
    for description, diagnostics in failures[:FAILURES]:
        print(f"# failed: {description}")
        for line in diagnostics[-LINES:]:
            print("#   " + line.removeprefix("#").removeprefix(" "))
    if len(failures) > FAILURES:
        print(f"# and {len(failures) - FAILURES} more")


def main(logs):
    passed = skipped = number = 0
    failures = []
    for log in logs:
        if not os.path.exists(log):
            number += 1
            failures.append((f"{log} was not written: meson test did not run", []))
            print(f"not ok {number} - {failures[-1][0]}")
            continue
        for good, skip, description, diagnostics in results(log):
            number += 1
            print(f"{'ok' if good else 'not ok'} {number} - {description}")
            for line in diagnostics:
                print(line if line.startswith("#") else "# " + line)
            passed += good and not skip
            skipped += good and skip
            if not good:
                failures.append((description, diagnostics))
    print(f"1..{number}")
    repeat(failures)
    print(f"{passed} passed, {len(failures)} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failures else 0 if passed else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
