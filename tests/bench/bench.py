# SPDX-License-Identifier: BSD-3-Clause
#
# What the benchmarks share: servers, times, and a table of ratios. A benchmark is a list of cases;
# each measures two ways of doing the same thing, one after the other, as often as --runs says, and
# reports the ratio of each pair: what else the machine did meanwhile weighs on both.
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

BUILD = os.environ["BUILD"]
# What was begun is ended, and its files go, also when the benchmark is stopped.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def module(kind, name):
    """The path of one of our modules: module("filter", "coalesce")."""
    return f"{BUILD}/{kind}s/{name}/nbdkit-{name}-{kind}.so"


class Directory:
    """A directory of its own, gone at the end: in memory, or on a disk."""

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
    """Memory for the file that is measured next, kept in a file meanwhile. The host of a virtual
    machine takes free memory back, and then writing to a new page takes ten times as long, at the
    cost of whoever comes first. So what a file needs is freed while it grows, and when it has been
    measured its own memory is kept for the next."""

    STEP = 32 << 20  # bytes that are freed at a time
    AHEAD = 256 << 20  # bytes that are free ahead of the file

    def __init__(self, directory, size):
        """size: as much as is at hand for the first file. The next have what the one before had."""
        self.path = directory / "reserve"
        self.size = size

    @contextlib.contextmanager
    def lent_to(self, path):
        """The file need not be there yet, but must be afterwards; then it is gone."""
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
        had = self.allocated(self.path)
        while not done.wait(0.003):
            wanted = self.AHEAD + self.allocated(path)
            while had - self.allocated(self.path) < wanted and (size := os.path.getsize(self.path)) > 0:
                os.truncate(self.path, max(0, size - self.STEP))

    @staticmethod
    def allocated(path):
        """In bytes; of a file that is not there: 0."""
        try:
            return os.stat(path).st_blocks * 512
        except FileNotFoundError:
            return 0


class Server:
    """nbdkit, or anything that makes a socket, from "with" to its end."""

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
        """The most memory it has had so far, in bytes."""
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
    """Runs a command; an error ends the benchmark, for a number without it would be worth nothing."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, timeout=timeout)
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stdout.decode(errors='replace')[-2000:]}")
    return done.stdout.decode(errors="replace")


def seconds(function, *arguments):
    """How long it takes."""
    start = time.monotonic()
    function(*arguments)
    return time.monotonic() - start


def random_file(path, size, seed=1):
    """Bytes that no compression and no zero detection shortens; the same for the same seed."""
    import random
    source = random.Random(seed)
    with open(path, "wb") as f:
        while size > 0:
            n = min(size, 16 << 20)
            f.write(source.randbytes(n))
            size -= n


class Table:
    """Cases as they are measured. Ratios are ours / theirs, so small is fast, unless a case counts
    something else."""

    def __init__(self, title):
        parser = argparse.ArgumentParser()
        parser.add_argument("--runs", type=int, default=5)
        parser.add_argument("--only", default="")
        self.options = parser.parse_args()
        self.missed = 0
        print(f"\n{title}: {self.options.runs} runs of each, the median and the range of the ratios\n")
        print("| case | against | ours | theirs | ratio | range | goal | |")
        print("|---|---|---|---|---|---|---|---|", flush=True)

    def wanted(self, case):
        return self.options.only in case

    def compare(self, case, against, ours, theirs, at_most=None, at_least=None, faster=False,
                warm_up=False):
        """ours() and theirs() return seconds (or bytes: any unit of which less is better). faster:
        the ratio is told the other way round, "how many times faster". warm_up: a first pair is not
        counted."""
        if not self.wanted(case):
            return None
        if warm_up:
            ours(), theirs()
        pairs = []
        for i in range(self.options.runs):
            # In turn, so that neither always runs in the wake of the other.
            if i % 2 == 0:
                mine = ours()
                pairs.append((mine, theirs()))
            else:
                other = theirs()
                pairs.append((ours(), other))
        ratios = [b / a if faster else a / b for a, b in pairs]
        self.row(case, against, f"{statistics.median(a for a, _ in pairs):.2f} s",
                 f"{statistics.median(b for _, b in pairs):.2f} s", ratios, at_most, at_least)
        return statistics.median(ratios)

    def row(self, case, against, ours, theirs, values, at_most=None, at_least=None, form="{:.3g}"):
        """One line; values has a number for each run, and the goal is for their median."""
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

    def end(self):
        print(f"\n{self.missed} goals missed." if self.missed else "\nAll goals met.", flush=True)
