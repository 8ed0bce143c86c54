# SPDX-License-Identifier: BSD-3-Clause
"""Runs one test program up to its first failure, and leaves nothing of it behind."""

import dataclasses
import os
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

_POINT = re.compile(rb"(not )?ok\b *\d* *-? *(.*)")
# Inherited by whatever a test starts, in whatever session.
_MARK = "REPLICATE_MUTANT_RUN"


@dataclasses.dataclass
class Outcome:
    passed: int  # test points, without those that were skipped
    failure: str  # empty if there was none
    seconds: float
    output: bytes = b""


def run(test, fault="", limit=None, keep=None, stopped=lambda: False):
    """Outcome of a programs.Test while the fault of this id is on; after `limit` seconds it is ended as one that hangs.
    Its temporary directory goes to `keep`, if that is given, and is removed otherwise."""
    mark = uuid.uuid4().hex
    # Short: the path of a socket has 107 characters at most.
    directory = tempfile.mkdtemp(prefix="mut")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATS_")}
    environment |= dict(test.environment) | {"TMPDIR": directory, _MARK: mark, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("REPLICATE_MUTANT", None)
    if fault:
        environment["REPLICATE_MUTANT"] = fault
    begin = time.monotonic()
    program = subprocess.Popen(test.command, cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        outcome = _follow(program, begin + limit if limit else None, stopped)
    finally:
        _kill(program, mark)
        if keep:
            shutil.copytree(directory, keep, dirs_exist_ok=True, symlinks=True, ignore=_special)
        shutil.rmtree(directory, ignore_errors=True)
    outcome.seconds = time.monotonic() - begin
    if keep:
        with open(os.path.join(keep, "output"), "wb") as file:
            file.write(outcome.output)
    return outcome


def _follow(program, deadline, stopped):
    """Reads what the program prints until it fails, hangs or ends."""
    outcome = Outcome(0, "", 0)
    rest = b""
    with selectors.DefaultSelector() as selector:
        os.set_blocking(program.stdout.fileno(), False)
        selector.register(program.stdout, selectors.EVENT_READ)
        open_ended = True
        while open_ended:
            # What a test left behind may hold the pipe: its end is not waited for.
            ended = program.poll() is not None
            selector.select(0 if ended else 0.1)
            data = program.stdout.read()
            open_ended = not ended if data is None else bool(data)
            outcome.output += data or b""
            *lines, rest = (rest + (data or b"")).split(b"\n")
            for line in lines:
                point = _POINT.match(line)
                if point and point[1]:
                    outcome.failure = _name(point[2])
                    return outcome
                if point and b"# skip" not in line:
                    outcome.passed += 1
            if stopped():
                raise KeyboardInterrupt
            if deadline and time.monotonic() > deadline:
                outcome.failure = "hang"
                return outcome
    try:
        status = program.wait(max(0.1, deadline - time.monotonic()) if deadline else None)
    except subprocess.TimeoutExpired:
        status = 0
        outcome.failure = "hang"
    if status:
        outcome.failure = f"signal {-status}" if status < 0 else f"exit status {status}"
    return outcome


def _name(text):
    """The name of a case, without the count of its assertions, in quotes."""
    return '"' + re.sub(r" \(\d+ assertions\)$", "", text.decode(errors="replace").strip()) + '"'


def _kill(program, mark):
    """Ends the program's group, and what it started in groups of their own."""
    try:
        os.killpg(program.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    program.wait()
    program.stdout.close()
    wanted = f"{_MARK}={mark}".encode()
    found = True
    while found:
        found = False
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if wanted not in file.read().split(b"\0"):
                        continue
                os.kill(int(pid), signal.SIGKILL)
                found = True
            except OSError:
                pass
        if found:
            time.sleep(0.01)


def _special(folder, names):
    """Sockets and the like are not kept."""
    paths = {name: os.path.join(folder, name) for name in names}
    return [name for name, path in paths.items()
            if not (os.path.islink(path) or os.path.isfile(path) or os.path.isdir(path))]
