#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""assertions.py FILE...: what bash does not see fail in tests, and what a slow machine makes fail.

- `A && B` and `! A` fail a test only as the last command of a test or function: they are two lines, or must_fail A.
  As a condition they are right, and where what follows leaves: `A && return`.
- `A || true` of an assertion never fails.
- In a function that is called as a condition, or by run, refuses, must_fail or until_true, a command that fails does
  not end it: each assertion but the last needs `|| return 1`.
- After `run` somebody looks at the status or the output.
- No sleep; waiting is until_true's. No limit of time below a minute, for it is there to end what hangs; no
  other upper limit of time. No fixed port (port 1 is one where nobody listens).

Prints what is wrong, a line each, and exits 1 if anything is.
"""

import os
import re
import sys

sys.dont_write_bytecode = True

import shell  # noqa: E402


ASSERTIONS = {"[", "[[", "test", "grep", "cmp", "diff", "same", "sound", "must_fail", "refuses", "listens", "gone", "until_true"}
LEAVES = {"return", "exit", "continue", "break", "skip", "false", "exec"}
NOTHING = {"true", ":", "echo"}
# name -> how many words are before the command that it calls
CALLERS = {"run": 0, "must_fail": 0, "refuses": 1, "until_true": 1}
TEXT = (
    (re.compile(r"\btimeout +(?:-\S+ +(?:\d+ +)?)?([1-5]?\d)\s"), "a limit below a minute: the machine may be busy"),
    (re.compile(r"\bSECONDS\b.*(?:-l[te]|<)|\b(?:took|taken|elapsed|slowest|seconds) *<"), "the time that something took is no assertion"),
    (re.compile(r"\btime\.sleep\((?:0?\.[1-9]\d*|[1-9](?:\.\d+)?|[1-5]\d(?:\.\d+)?)\)"), "a sleep: wait for something, by polling"),
    (re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\]):(?!1\b|0\b)\d+|--port[= ]\d+|-p \d\d+"), "a fixed port"),
)
LOOKED_AT = re.compile(r"\$\{?#?(?:status|output|lines|stderr)\b|\b(?:status|output)\b")


class File:
    def __init__(self, path):
        self.path = path
        with open(path, encoding="utf-8") as file:
            self.text = file.read()
        try:
            self.statements = shell.parse(self.text)
        except (ValueError, IndexError) as error:
            raise SystemExit(f"{path}: {error}") from error
        self.functions = {}  # name -> the list of its statements
        self.looking = set()  # the functions that look at what was run
        self.wrong = set()
        self._collect(self.statements)

    def _collect(self, statements):
        for command in _commands(statements):
            if command.kind == "function":
                self.functions[command.words[0]] = command.bodies[0]
                text = self.text[command.at :]
                if LOOKED_AT.search(text[: text.find("\n") if "}" in text[: text.find("\n")] else text.find("\n}")]):
                    self.looking.add(command.words[0])

    def say(self, at, what):
        self.wrong.add((self.text.count("\n", 0, at) + 1, what))

    def line_of(self, at):
        return self.text[self.text.rfind("\n", 0, at) + 1 : self.text.find("\n", at)]


def _commands(statements):
    """All commands within, at any depth."""
    for statement in statements:
        for command in statement.commands:
            yield command
            for part in command.conditions + command.bodies:
                yield from _commands(part)


def _leaves(command):
    if command.kind == "group" and command.bodies[0]:
        return _leaves(command.bodies[0][-1].commands[-1])
    return bool(command.words) and command.words[0] in LEAVES


def _is(command, names):
    return command.kind == "simple" and bool(command.words) and command.words[0] in names


def check_lists(file, statements, counts):
    """counts: the status of the last statement is that of a test or function."""
    for i, statement in enumerate(statements):
        last = counts and i == len(statements) - 1
        final = statement.commands[-1]
        if "||" in statement.operators:
            if (_is(final, NOTHING) or final.words == ["return", "0"]) and any(
                    _is(command, ASSERTIONS) and command.words[1:2] != ["-c"] for command in statement.commands[:-1]):
                file.say(statement.at, "never fails: || " + final.words[0])
        elif statement.operators and not last and not _leaves(final):
            file.say(statement.at, "asserts only what is behind the last &&")
        elif not statement.operators and final.negated and not last:
            file.say(statement.at, "does not fail a test: ! (see must_fail)")
        for command in statement.commands:
            for body in command.bodies:
                check_lists(file, body, {"function": True, "subshell": True, "loop": False}.get(command.kind, last))


def _called(words):
    """The name of the function that is called where a failure does not end it, or None."""
    while words and words[0] in CALLERS:
        words = words[1 + CALLERS[words[0]] :]
        while words and words[0].startswith("-"):
            words = words[1:]
        if words and words[0] not in CALLERS:
            return words[0]
    return None


def unheeded(file):
    """The names of functions that are called so in this file."""
    names = set()
    for command in _commands(file.statements):
        if command.kind == "simple" and (name := _called(command.words)):
            names.add(name)
        for condition in command.conditions:
            names |= {inner.words[0] for inner in _commands(condition) if inner.words}
        if command.negated and command.words:
            names.add(command.words[0])
    for statement in _statements(file.statements):
        names |= {command.words[0] for command in statement.commands[: -1] if command.words}
    return names


def _statements(statements):
    for statement in statements:
        yield statement
        for command in statement.commands:
            for part in command.conditions + command.bodies:
                yield from _statements(part)


def check_function(file, name, statements, counts=True):
    for i, statement in enumerate(statements):
        last = counts and i == len(statements) - 1
        command = statement.commands[-1]
        if not last and not statement.operators and _is(command, ASSERTIONS):
            file.say(statement.at, f"is not asserted, for {name} is called where a failure does not end it: || return 1")
        if command.kind != "function":
            for body in command.bodies:
                check_function(file, name, body, last and command.kind != "loop")


def check_text(file, looking):
    """looking: the names of functions that look at what was run."""
    for pattern, what in TEXT:
        for found in pattern.finditer(file.text):
            if not file.line_of(found.start()).lstrip().startswith("#"):
                file.say(found.start(), f"{what}: {found[0].strip()}")
    for command in _commands(file.statements):
        if _is(command, {"sleep"}) and os.path.basename(file.path) != "lib.bash":
            file.say(command.at, "a sleep: wait for something, by until_true")
        if _is(command, {"run"}):
            rest = file.text[command.at + 4 :]
            rest = rest[: min(n for n in (rest.find("\n}"), len(rest)) if n >= 0)]
            rest = re.split(r"\n *run ", rest)[0]
            if not LOOKED_AT.search(rest) and not any(re.search(rf"^ *{name}\b", rest, re.M) for name in looking):
                file.say(command.at, "nobody looks at what it ran")


def main(paths):
    files = [File(path) for path in sorted(paths)]
    library = {name: file for file in files if file.path.endswith(".bash") for name in file.functions}
    for file in files:
        check_lists(file, file.statements, False)
        check_text(file, file.looking.union(*(other.looking for other in files if other.path.endswith(".bash"))))
        names, seen = unheeded(file), set()
        while names:
            name = names.pop()
            owner = file if name in file.functions else library.get(name)
            if owner is None or name in seen:
                continue
            seen.add(name)
            check_function(owner, name, owner.functions[name][0].commands[0].bodies[0])
            # What it calls is called so too.
            names |= {command.words[0] for command in _commands(owner.functions[name]) if command.words}
    for file in files:
        for line, what in sorted(file.wrong):
            print(f"{file.path}:{line}: {what}")
    return 1 if any(file.wrong for file in files) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
