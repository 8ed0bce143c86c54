# SPDX-License-Identifier: BSD-3-Clause
"""Processes that do not outlive the soak, and those that a run has started."""

import os
import signal
import subprocess
import time

from soak_parts.violation import Violation

TOKEN = f"SOAK_TOKEN={os.getpid()}.{time.time_ns()}"  # in the environment of all processes of this soak
DEADLINE = 600  # seconds that anything here may take


def start(command, log, signal_name="KILL", **environment):
    """It gets the signal when the soak ends, however that ends. To be called by the main thread."""
    name, value = TOKEN.split("=")
    return subprocess.Popen(["setpriv", "--pdeathsig", signal_name, *command], stdin=subprocess.DEVNULL, stdout=log,
                            stderr=log, env={**os.environ, **environment, name: value})


def until(condition, what, seconds=DEADLINE):
    """Raises Violation if it does not become true. Returns its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Violation(f"waited {seconds} seconds in vain: {what}")
        time.sleep(0.01)
    return value


def belonging(marks):
    """The IDs of the processes, not yet ended, in whose environment all the marks are."""
    found = []
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                environment = file.read().split(b"\0")
        except OSError:
            continue
        if all(mark.encode() in environment for mark in marks):
            found.append(int(entry))
    return found


def command_line(process):
    """Its words; none if it has ended."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return file.read().decode(errors="replace").split("\0")
    except OSError:
        return []


def state(process):
    """As proc(5) has it, one letter; "X" if there is none."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def children(process):
    """The IDs of the processes that a thread of it has started."""
    try:
        found = []
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
        return found
    except OSError:
        return []


def kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def kill_all(marks):
    """Also those that they start meanwhile."""
    def none_left():
        found = belonging(marks)
        for process in found:
            kill(process)
        return not found
    until(none_left, "the end of processes that were killed")
