# SPDX-License-Identifier: BSD-3-Clause
"""A job as a shell script: its time, and what it costs, with all the processes that it starts."""
import contextlib
import os
import re
import resource
import shlex
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


def words(*command: object) -> str:
    return shlex.join(str(word) for word in command)


def pipeline(servers: Sequence[tuple[str, Sequence[object]]], client: str, before: str = "") -> str:
    """A script: starts each server, given with its socket, runs the client, and ends the servers, the last one first."""
    lines = [before] if before else []
    for number, (socket, command) in enumerate(servers):
        lines += [f"rm -f {shlex.quote(socket)}", f"{words(*command)} & p{number}=$!",
                  f"until [ -S {shlex.quote(socket)} ]; do kill -0 $p{number}; sleep 0.005; done"]
    lines.append(client)
    for number in reversed(range(len(servers))):
        lines.append(f"kill $p{number}; wait $p{number} || true")
    return "\n".join(lines)


@dataclass(frozen=True)
class Cost:
    processor: float  # seconds, of all processes
    memory: float  # MiB: the most that all of them had together (PSS)
    calls: int  # system calls
    copied: float  # MiB that went through system calls that copy


class Job:
    def __init__(self, script: str, prepare: Callable[[], None] = lambda: None) -> None:
        """prepare: called before each run, and not measured."""
        self._script = script
        self._prepare = prepare
        self.processor: list[float] = []  # seconds, of each run of seconds()

    def seconds(self) -> float:
        self._prepare()
        used = _children()
        start = time.monotonic()
        self._run()
        took = time.monotonic() - start
        self.processor.append(_children() - used)
        return took

    def memory(self) -> float:
        """MiB. What is there before the run, such as a simulated vCenter, is not counted."""
        self._prepare()
        with _MemorySampler() as sampler:
            self._run()
        return sampler.peak / (1 << 20)

    def calls(self) -> tuple[int, float]:
        """The number of system calls, and the MiB that were read and written by them. Takes much longer than a run."""
        self._prepare()
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "calls")
            self._run(["strace", "-f", "-qq", "-s", "0", "-e", "signal=none", "-o", path])
            return _count(path)

    def cost(self) -> Cost:
        self.seconds()
        calls, copied = self.calls()
        return Cost(self.processor[-1], self.memory(), calls, copied)

    def _run(self, under: Sequence[str] = ()) -> None:
        with tempfile.TemporaryFile() as log:
            status = subprocess.run([*under, "sh", "-ec", self._script], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    timeout=1800, check=False).returncode
            if status != 0:
                log.seek(0)
                raise SystemExit(f"{self._script}\nended with {status}: {log.read()[-3000:].decode(errors='replace')}")


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class _MemorySampler:
    INTERVAL = 0.02  # seconds

    def __init__(self) -> None:
        self.peak = 0  # bytes
        self._known = set(_descendants())
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> "_MemorySampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(self.INTERVAL):
            self.peak = max(self.peak, sum(map(_pss, set(_descendants()) - self._known)))


def _descendants() -> list[int]:
    """Of this process, wherever they are in the tree."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
    found = [os.getpid()]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def _pss(process: int) -> int:
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{process}/smaps_rollup", encoding="utf-8") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


_COPYING = re.compile(r"\b(?:p?readv?2?|p?writev?2?|pread64|pwrite64|preadv2?|pwritev2?|recv\w*|send\w*|splice|copy_file_range)"
                      r"(?:\(| resumed>).*= (\d+)$")


def _count(path: str) -> tuple[int, float]:
    calls, copied = 0, 0
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            calls += " resumed>" not in line
            if match := _COPYING.search(line):
                copied += int(match[1])
    return calls, copied / (1 << 20)
