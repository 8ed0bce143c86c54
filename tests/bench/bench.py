# SPDX-License-Identifier: BSD-3-Clause
#
# Servers, times, and a table of ratios, for all benchmarks. A benchmark is a list of cases. Each
# measures two ways of doing the same thing, one after the other, --runs times, and reports the ratio of
# each pair, so that other load on the machine affects both.
import argparse
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from parts.results import Row, append

BUILD = os.environ["BUILD"]
# Also when the benchmark is stopped, its processes are ended and its files removed.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def module(kind, name):
    """The path of one of our modules: module("filter", "coalesce")."""
    return f"{BUILD}/{kind}s/{name}/nbdkit-{name}-{kind}.so"


class Directory:
    """A temporary directory, in memory or on a disk."""

    def __init__(self, disk=False):
        parent = os.environ.get("TMPDIR", "/var/tmp") if disk else "/dev/shm"
        self.path = tempfile.mkdtemp(prefix="nbdkit-replicate-bench-", dir=parent)

    def __truediv__(self, name):
        return os.path.join(self.path, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


class Reserve:
    """Keeps memory for the next file to be measured in another file. The host of a virtual machine
    takes free memory back, and then the first write to a page takes ten times as long. So the memory
    that a file needs is freed while the file grows, and when the file has been measured, its memory is
    kept for the next one."""

    STEP = 32 << 20  # bytes that are freed at a time
    AHEAD = 256 << 20  # bytes kept free while the file grows

    def __init__(self, directory, size):
        """size: the memory kept for the first file. Each later one gets that of the file before it."""
        self.path = directory / "reserve"
        self.size = size

    @contextlib.contextmanager
    def lent_to(self, path):
        """The file must exist at the end of the block, and is removed then."""
        if not os.path.exists(self.path):
            with open(self.path, "wb") as f:
                for _ in range(0, self.size, self.STEP):
                    f.write(bytes(self.STEP))
        done = threading.Event()
        thread = threading.Thread(target=self.release, args=(path, done))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        os.rename(path, self.path)

    def release(self, path, done):
        kept = self.allocated(self.path)
        while not done.wait(0.003):
            needed = self.AHEAD + self.allocated(path)
            while kept - self.allocated(self.path) < needed and (size := os.path.getsize(self.path)) > 0:
                os.truncate(self.path, max(0, size - self.STEP))

    @staticmethod
    def allocated(path):
        """In bytes; 0 if the file does not exist."""
        try:
            return os.stat(path).st_blocks * 512
        except FileNotFoundError:
            return 0


class Server:
    """nbdkit, or another program that makes a socket, for the time of a with block."""

    def __init__(self, *arguments, command=("nbdkit", "-f"), socket=None, env=None):
        self.directory = tempfile.mkdtemp(prefix="nbdkit-replicate-bench-")
        self.socket = socket or f"{self.directory}/sock"
        self.log = f"{self.directory}/log"
        if command[0] == "nbdkit":
            command = (*command, "-U", self.socket, "-P", f"{self.directory}/pid")
        self.command = [*command, *map(str, arguments)]
        self.env = env
        self.peak = 0  # bytes of memory, once it has ended

    def uri(self, export=""):
        return f"nbd+unix:///{export}?socket={self.socket}"

    def __enter__(self):
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.env)
        waits_for = self.socket if self.command[0] != "nbdkit" else f"{self.directory}/pid"
        deadline = time.monotonic() + 60
        while not os.path.exists(waits_for):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.command}: did not start: {open(self.log).read()}")
            time.sleep(0.005)
        return self

    def resident(self):
        """The peak of its memory so far, in bytes."""
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        if self.process.poll() is None:
            self.peak = self.resident()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def run(*command, timeout=1800):
    """Runs a command and returns its output. If it fails, the benchmark ends."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, timeout=timeout)
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stdout.decode(errors='replace')[-2000:]}")
    return done.stdout.decode(errors="replace")


def seconds(function, *arguments):
    """The seconds that a call takes."""
    start = time.monotonic()
    function(*arguments)
    return time.monotonic() - start


def random_file(path, size, seed=1):
    """Incompressible bytes without zeroes; the same for the same seed."""
    import random
    source = random.Random(seed)
    with open(path, "wb") as f:
        while size > 0:
            n = min(size, 16 << 20)
            f.write(source.randbytes(n))
            size -= n


class Table:
    """Prints a line for each case. A ratio is ours / theirs, so less is better, unless the case says
    otherwise."""

    def __init__(self, title):
        parser = argparse.ArgumentParser()
        parser.add_argument("--runs", type=int, default=5)
        parser.add_argument("--only", default="")
        parser.add_argument("--record", help="append each row to this file, as JSON")
        self.options = parser.parse_args()
        self.title = title
        self.missed = 0
        print(f"\n{title}: {self.options.runs} runs of each, the median and the range of the ratios\n")
        print("| case | against | ours | theirs | ratio | range | goal | |")
        print("|---|---|---|---|---|---|---|---|", flush=True)

    def selected(self, case):
        return self.options.only in case

    def compare(self, case, against, ours, theirs, at_most=None, at_least=None, faster=False,
                warm_up=False, kind=None):
        """ours() and theirs() return seconds, or another number of which less is better. faster: the
        ratio is theirs / ours, "how many times faster". warm_up: a first pair is not counted. kind: see Row, if it is not
        that of a ratio."""
        if not self.selected(case):
            return None
        if warm_up:
            ours(), theirs()
        pairs = []
        for i in range(self.options.runs):
            # In alternating order, so that neither always runs after the other.
            if i % 2 == 0:
                mine = ours()
                pairs.append((mine, theirs()))
            else:
                other = theirs()
                pairs.append((ours(), other))
        ratios = [b / a if faster else a / b for a, b in pairs]
        self.row(case, against, f"{statistics.median(a for a, _ in pairs):.2f} s",
                 f"{statistics.median(b for _, b in pairs):.2f} s", ratios, at_most, at_least,
                 kind=kind or ("faster" if faster else "ratio"))
        return statistics.median(ratios)

    def row(self, case, against, ours, theirs, values, at_most=None, at_least=None, form="{:.3g}", kind="value",
            points=()):
        """Prints one line. values: a number for each run; the goal is for their median. kind, points: see Row."""
        if not self.selected(case):
            return
        middle = statistics.median(values)
        goal, good = "-", ""
        if at_most is not None:
            goal, good = f"<= {at_most}", middle <= at_most
        if at_least is not None:
            goal, good = f">= {at_least}", middle >= at_least
        if good is False:
            self.missed += 1
        verdict = {True: "met", False: "MISSED", "": ""}[good]
        f = form.format
        print(f"| {case} | {against} | {ours} | {theirs} | {f(middle)} | "
              f"{f(min(values))} - {f(max(values))} | {goal} | {verdict} |", flush=True)
        if self.options.record:
            append(self.options.record, Row(self.title.partition(":")[0], case, against, ours, theirs, list(values), goal,
                                            verdict, kind=kind, points=[list(point) for point in points]))

    def end(self):
        print(f"\n{self.missed} goals missed." if self.missed else "\nAll goals met.", flush=True)
