# SPDX-License-Identifier: BSD-3-Clause
"""The test programs of a build directory, as meson knows them, and what the names in a list of faults mean.

    unit:NAME, unit:NAME:PATTERN     a unit test, or those of its cases that Catch2's pattern means
                                     (of Python's unittest: that -k means)
    NAME, NAME:REGEX                 another test of this name; of a bats file the cases that bats -f finds
"""

import dataclasses
import fnmatch
import glob
import json
import os
import re

from faults import Wrong

_CASE = re.compile(r'\bTEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)')
_PYTHON_CASE = re.compile(r"^ +(?:async )?def (test_\w+)\(", re.M)
_BATS_CASE = re.compile(r'^@test "(.*)" \{', re.M)


@dataclasses.dataclass(frozen=True)
class Test:
    name: str  # as it is written in the list
    command: tuple
    environment: tuple
    target: str  # the file that is to be built, of a unit test; otherwise empty: all modules
    tap: bool = True  # whether it prints TAP


class Programs:
    """Of a directory that meson has set up."""

    def __init__(self, build):
        self._units, self._others, self._sources = {}, {}, {}
        try:
            for test in self._read(build, "intro-tests.json"):
                suites = {suite.rpartition(":")[2] for suite in test["suite"]}
                kind = self._units if "unit" in suites else self._others if suites & {"modules", "system"} else {}
                kind[test["name"]] = test
            for target in self._read(build, "intro-targets.json"):
                self._sources[target["filename"][0]] = [
                    source for part in target["target_sources"]
                    for source in (*part.get("sources", ()), *part.get("generated_sources", ()))]
        except OSError as error:
            raise Wrong(f"{error.filename}: {error.strerror}: meson setup {build} first") from error

    @staticmethod
    def _read(build, name):
        with open(os.path.join(build, "meson-info", name), encoding="utf-8") as file:
            return json.load(file)

    def exactly(self, name):
        """The Test that a fault names."""
        unit = name.startswith("unit:")
        program, _, pattern = name.removeprefix("unit:").partition(":")
        known = self._units if unit else self._others
        if program not in known:
            raise Wrong(f"there is no {'unit ' if unit else ''}test {program}")
        return self._test(name, known[program], unit, pattern)

    def all_of(self, name):
        """The Tests that scripts/test means by a name, unit tests first."""
        found = [self._test(prefix + test, known[test], bool(prefix), "")
                 for known, prefix in ((self._units, "unit:"), (self._others, ""))
                 for test in known if test == name or test.startswith(name + "-")]
        if not found:
            raise Wrong(f"there is no test {name}")
        return found

    @staticmethod
    def _test(name, test, unit, pattern):
        command = list(test["cmd"])
        python = os.path.basename(command[0]).startswith("python")
        if pattern and python:
            command += ["-k", pattern]
        elif pattern and unit:
            # To Catch2 a comma means "or".
            command += [pattern if pattern[0] in "[~" else re.sub(r"(?<!\\),", r"\\,", pattern)]
        elif pattern:
            command[-1:-1] = ["-f", pattern]
        target = command[0] if unit and not python else ""
        return Test(name, tuple(command), tuple(sorted(test["env"].items())), target, test["protocol"] == "tap")

    def unknown(self, known):
        """Lines that say which tests of the faults do not exist, as far as the sources tell."""
        wrong = []
        for module, names in {fault.module: fault.more for fault in known}.items():
            for name in names:
                try:
                    self.all_of(name)
                except Wrong as error:
                    wrong.append(f"tests/mutants/{module}.toml: {error}")
        cases = {}
        for fault in known:
            for name in fault.tests:
                try:
                    test = self.exactly(name)
                    if not test.tap:
                        continue
                    pattern = name.removeprefix("unit:").partition(":")[2]
                    if "-k" in test.command:
                        _check_python(name, test.command[test.command.index("-k") - 1], pattern)
                        continue
                    source = test.target or test.command[-1]
                    if source not in cases:
                        cases[source] = self._cases(test)
                    if pattern and not _any_case(cases[source], pattern, bool(test.target)):
                        raise Wrong(f"no case of {name.removesuffix(':' + pattern)} is called {pattern}")
                except (Wrong, OSError) as error:
                    wrong.append(f"tests/mutants/{fault.module}.toml: {fault.id}: {error}")
        return wrong

    def _unit_sources(self, target):
        """All unit tests are compiled as one library, so of a program of it these are the sources of all. A source
        that was made of others (tests/unit/together.py) counts as those."""
        sources = self._sources.get(target) or [
            source for library, all_of in self._sources.items()
            if os.path.basename(library) == "libunit_tests.a" for source in all_of]
        return [own for source in sources for own in self._sources.get(source, (source,))]

    def _cases(self, test):
        """The names of the cases in the sources of a test."""
        names = []
        for source in self._unit_sources(test.target) if test.target else [test.command[-1]]:
            with open(source, encoding="utf-8") as file:
                text = file.read()
            if test.target:
                names += [_unquoted("".join(re.findall(r'"((?:[^"\\]|\\.)*)"', case))) for case in _CASE.findall(text)]
            else:
                names += [_unquoted(case) for case in _BATS_CASE.findall(text)]
        return names


def _unquoted(text):
    return re.sub(r"\\(.)", r"\1", text)


def _check_python(name, program, pattern):
    """In its directory a test has the pattern in its name."""
    for path in glob.glob(os.path.join(os.path.dirname(program), "test_*.py")):
        with open(path, encoding="utf-8") as file:
            if any(pattern in case for case in _PYTHON_CASE.findall(file.read())):
                return
    raise Wrong(f"no case of {name.removesuffix(':' + pattern)} is called {pattern}")


def _any_case(names, pattern, unit):
    """Whether Catch2, or bats -f, finds a case by this pattern."""
    if not unit:
        return any(re.search(pattern, name) for name in names)
    if pattern[0] in "[~":
        return True
    wanted = re.sub(r"([\[?])", r"[\1]", _unquoted(pattern.lower()))
    return any(fnmatch.fnmatchcase(name.lower(), wanted) for name in names)
