# SPDX-License-Identifier: BSD-3-Clause
#
# The pull filter over slow and fast sources: the first read, reading on, reads of what is here, a client beside the
# background, and the background alone. Against the source itself, the plugin below, nbdcopy between the same two servers,
# and nbdkit's cow and cache filters over its nbd plugin.
import contextlib
import json
import os
import random
import resource
import shutil
import subprocess
import time

import nbd

from bench import Directory, Server, Table, module, random_file, run, seconds

PULL = f"--filter={module('filter', 'pull')}"
K, M, G = 1 << 10, 1 << 20, 1 << 30
LONG = 512 * M
table = Table("pull")


def delayed(disk, delay, plugin="file"):
    if delay is None:
        return Server("-r", plugin, *disk)
    return Server("-r", "--filter=delay", plugin, *disk, f"rdelay={delay}")


def fast(disk):
    return delayed([disk], None)


def remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


class Pull(Server):
    """The filter over a file, whose old content counts for nothing, from a source that runs."""

    def __init__(self, disk, source, *parameters):
        self.state = f"{disk}.state"
        remove(self.state)
        super().__init__(PULL, "file", disk, f"pull-from={source.uri()}", f"pull-state={self.state}", *parameters)

    def read_state(self):
        with open(self.state) as f:
            return json.load(f)

    def is_whole(self):
        try:
            return self.read_state()["owed"] == []
        except FileNotFoundError:  # nbdkit says that it is ready a moment before
            return False

    def here(self):
        """How many bytes are here, durably."""
        state = self.read_state()
        return state["size"] - sum(length for _, length in state["owed"])

    def wait_until_whole(self):
        while not self.is_whole():
            if self.process.poll() is not None:
                raise SystemExit(f"the server has ended: {open(self.log).read()}")
            time.sleep(0.005)


class OnRead(Server):
    """What nbdkit itself has for that: its cow or cache filter over its nbd plugin. What was read is kept in a temporary
    file."""

    def __init__(self, directory, kind, source):
        what = {"cow": "cow-on-read=true", "cache": "cache-on-read=true"}[kind]
        super().__init__(f"--filter={kind}", "nbd", f"uri={source.uri()}", what, env={**os.environ, "TMPDIR": directory.path})


@contextlib.contextmanager
def connected(server):
    h = nbd.NBD()
    h.connect_uri(server.uri())
    yield h
    h.shutdown()


def whole_file(path, size):
    """A file whose memory is allocated, so that the first writes to it do not count."""
    with open(path, "wb") as f:
        for _ in range(0, size, M):
            f.write(b"\xff" * M)


def fio(server, *options):
    """The requests a second."""
    out = run("fio", "--name=r", "--ioengine=nbd", f"--uri={server.uri()}", "--output-format=json", "--group_reporting",
              *options)
    job = json.loads(out[out.index("{"):])["jobs"][0]
    return job["read"]["iops"] + job["write"]["iops"]


def first_reads(start, size, number):
    """Seconds from connecting to the answer of a first read of 4 KiB, each of a new server."""
    times = []
    place = random.Random(3)
    for _ in range(number):
        with start() as server:
            offset = place.randrange(size // 4, size, 4096)

            began = time.monotonic()
            with connected(server) as h:
                h.pread(4096, offset)
                times.append(time.monotonic() - began)
    return sorted(times)[number // 2]


def bench_first_read(d):
    """Of a small disk: nbdkit's file plugin looks for a hole whenever it is opened, which takes long in a large file in
    memory."""
    size = 64 * M
    random_file(d / "small", size)
    whole_file(d / "small-here", size)
    with delayed([d / "small"], "20ms") as source:
        for against, start in (("directly", lambda: contextlib.nullcontext(source)),
                               ("cow-on-read", lambda: OnRead(d, "cow", source)),
                               ("cache-on-read", lambda: OnRead(d, "cache", source))):
            table.compare("the first 4 KiB, source of 20 ms", against,
                          lambda: first_reads(lambda: Pull(d / "small-here", source), size, 7),
                          lambda: first_reads(start, size, 7), **({"at_most": 1.2} if against == "directly" else {}))


def bench_read_on(d):
    def read(options, start):
        with start() as server:
            return seconds(run, "nbdcopy", *options, "--", server.uri(), "null:")
    with delayed([d / "source"], "10ms") as source:
        for name, options, goal in (("nbdcopy -C 1 -R 1", ("-C", "1", "-R", "1"), 15), ("nbdcopy", (), 3)):
            for against, start in (("directly", lambda: contextlib.nullcontext(source)),
                                   ("cow-on-read", lambda: OnRead(d, "cow", source)),
                                   ("cache-on-read", lambda: OnRead(d, "cache", source))):
                table.compare(f"512 MiB from the beginning on, {name}, source of 10 ms", against,
                              lambda: read(options, lambda: Pull(d / "here", source)), lambda: read(options, start),
                              faster=True, **({"at_least": goal} if against == "directly" else {}))
            # What no copy of a source of 10 ms can exceed: as if all were here, and served by the plugin alone.
            table.compare(f"512 MiB from the beginning on, {name}: a source without latency instead", "source of 10 ms",
                          lambda: read(options, lambda: fast(d / "source")),
                          lambda: read(options, lambda: contextlib.nullcontext(source)), faster=True, kind="value")
    # Such as VDDK's: as many connections as there are, and one request at a time on each.
    with Server("-r", "--filter=noparallel", "--filter=delay", "file", d / "source", "rdelay=10ms",
                "serialize=requests") as source:
        table.compare("512 MiB from the beginning on, nbdcopy, source of 10 ms, one request at a time", "directly",
                      lambda: read((), lambda: Pull(d / "here", source)),
                      lambda: read((), lambda: contextlib.nullcontext(source)), faster=True, at_least=3)


RANDOM = ("--rw=randread", "--bs=4k", "--iodepth=16", "--time_based", "--runtime=2")


def rates(case, against, ours, theirs, faster=False, **goal):
    """ours() and theirs() return requests a second. The ratio is that of the times; faster: of the rates."""
    if not table.selected(case):
        return
    pairs = []
    for i in range(table.options.runs):
        first, second = (ours, theirs) if i % 2 == 0 else (theirs, ours)
        a, b = first(), second()
        pairs.append((a, b) if i % 2 == 0 else (b, a))
    middle = [sorted(p)[len(pairs) // 2] for p in zip(*pairs)]
    ratios = [a / b for a, b in pairs] if faster else [b / a for a, b in pairs]
    table.row(case, against, f"{middle[0]:.0f}/s", f"{middle[1]:.0f}/s", ratios,
              kind="faster" if faster else "ratio", **goal)


def bench_here(d):
    half = LONG // 2
    options = (*RANDOM, f"--size={half}")
    with fast(d / "source") as source, Server("file", d / "plain") as plain:
        with Pull(d / "here", source) as server:
            server.wait_until_whole()
            rates("random 4 KiB reads, all is here (time per read)", "the plugin below", lambda: fio(server, *options),
                  lambda: fio(plain, *options), at_most=1.1)
        # What is behind `half` stays missing: its source has so little bandwidth.
        with Pull(d / "here", source, "pull-rate=4096") as server:
            with connected(server) as h:
                for offset in range(0, half, M):
                    h.pread(M, offset)
            rates("random 4 KiB reads of what is here, half is missing (time per read)", "the plugin below",
                  lambda: fio(server, *options), lambda: fio(plain, *options), at_most=1.1)
        for kind in ("cow", "cache"):
            with Pull(d / "here", source) as server, OnRead(d, kind, source) as theirs:
                server.wait_until_whole()
                run("nbdcopy", theirs.uri(), "null:")
                rates("random 4 KiB reads, all is here (time per read)", f"{kind}-on-read", lambda: fio(server, *options),
                      lambda: fio(theirs, *options))


def bench_guest(d):
    """The background must not come to an end meanwhile: its source is a part of 256 MiB, again and again."""
    part, times = 256 * M, 48
    mix = ("--rw=randrw", "--rwmixread=70", "--bs=4k", "--iodepth=4", "--numjobs=4", f"--size={part}", "--time_based",
           "--runtime=4")
    with open(d / "part", "wb") as f, open(d / "source", "rb") as from_:
        f.write(from_.read(part))

    brought = []  # of the runs of a case

    def beside(server, here):
        with server:
            with connected(server) as h:
                for offset in range(0, here, M):
                    h.pread(M, offset)
            start = time.monotonic()
            rate = fio(server, *mix)
            if isinstance(server, Pull):
                brought.append((server.here() - here) / 1e6 / (time.monotonic() - start))
                if server.is_whole():
                    raise SystemExit("the background came to an end: the source is too small")
            return rate

    def new(name, size):
        remove(d / name)
        with open(d / name, "wb") as f:
            f.truncate(size)
        return d / name

    def alone():
        with Server("file", new("alone", times * part)) as server:
            return beside(server, part)
    for delay in (None, "10ms"):
        with delayed([d / "part"] * times, delay, "split") as source:
            def ours():
                return beside(Pull(new("here", times * part), source), part)
            brought.clear()
            name = f"fio 70/30 with 4 threads beside the background, source of {delay or '0 ms'}"
            rates(name, "the plugin below alone", ours, alone, faster=True, at_least=0.7)
            # The cache filter cannot write where the source cannot.
            rates(name, "cow-on-read", ours, lambda: beside(OnRead(d, "cow", source), part), faster=True)
            if brought:
                table.row(f"{name}: brought meanwhile, MB/s", "-", f"{max(brought):.0f}", "-", brought)


def bench_background(d, size):
    """The destination's file has its memory already, on both sides."""
    def processor():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def measured(delay, how):
        before = processor()
        with delayed([d / "source"], delay) as source:
            time_ = seconds(how, source)
        return time_, processor() - before

    def pull(source):
        with Pull(d / "here", source) as server:
            server.wait_until_whole()

    def copy(source):
        with Server("file", d / "here") as server:
            run("nbdcopy", "--flush", "--", source.uri(), server.uri())

    def floor(source):
        """What no copy can do without: the source is read by NBD, and as many bytes are written to the file."""
        run("nbdcopy", "--", source.uri(), "null:")
        write = "import os, sys; b = os.urandom(1 << 18); f = os.open(sys.argv[1], os.O_WRONLY)\n" \
            "for at in range(0, int(sys.argv[2]), 1 << 18): os.pwrite(f, b, at)"
        run("/usr/bin/python3", "-c", write, d / "here", size)
    for delay in (None, "5ms"):
        case = f"{size // G} GiB by the background alone, " + (f"source of {delay}" if delay else "in memory")
        if not table.selected(case):
            continue
        pairs = []
        for i in range(table.options.runs):
            pair = [measured(delay, how) for how in ((pull, copy) if i % 2 == 0 else (copy, pull))]
            pairs.append([*(pair if i % 2 == 0 else pair[::-1]), measured(delay, floor)])
        for i, what, goal in ((0, "time", 0.75), (1, "processor time", 0.7)):
            middle = [sorted(p[side][i] for p in pairs)[len(pairs) // 2] for side in (0, 1, 2)]
            table.row(f"{case}: {what}", "nbdcopy", f"{middle[0]:.2f} s", f"{middle[1]:.2f} s",
                      [a[i] / b[i] for a, b, _ in pairs], at_most=goal, kind="ratio" if what == "time" else "value")
            if what != "time":  # its two parts are one after the other
                table.row(f"{case}: {what}, reading the source and writing the file alone", "nbdcopy", f"{middle[2]:.2f} s",
                          f"{middle[1]:.2f} s", [f[i] / b[i] for _, b, f in pairs])


def bench_boot(d):
    """Until the virtual machine has read and written its disk, and powers itself off (tests/system/boot)."""
    case = "a virtual machine boots, source of 10 ms"
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system/boot")
    found = subprocess.run(["bash", "-c", f'. {folder}/kernel.bash; find_kernel && echo "$kernel $modules"'],
                           stdout=subprocess.PIPE, text=True).stdout.split()
    if not table.selected(case) or not found:
        return
    run("/usr/bin/python3", f"{folder}/disk.py", *found, d / "boot")

    def boot(drive):
        console = run("qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "512", "-nographic", "-drive",
                      f"file={drive},format=raw,if=virtio")
        if "boot 1: done" not in console:
            raise SystemExit(f"the virtual machine has not come up: {console}")

    def pulled():
        whole_file(d / "booted", os.path.getsize(d / "boot"))
        with delayed([d / "boot"], "10ms") as source, Pull(d / "booted", source) as server:
            return seconds(boot, server.uri())

    def local():
        shutil.copy(d / "boot", d / "booted")
        return seconds(boot, d / "booted")

    def direct():
        shutil.copy(d / "boot", d / "booted")
        with Server("--filter=delay", "file", d / "booted", "rdelay=10ms") as source:
            return seconds(boot, source.uri())
    table.compare(case, "from the local image", pulled, local, at_most=2)
    table.compare(case, "directly", pulled, direct)


with Directory() as d:
    random_file(d / "source", LONG)
    for name in ("here", "plain"):
        whole_file(d / name, LONG)
    bench_first_read(d)
    bench_read_on(d)
    bench_here(d)
    remove(d / "here")
    remove(d / "plain")
    bench_guest(d)
    remove(d / "here")
    remove(d / "alone")
    size = 2 * G
    random_file(d / "source", size)
    whole_file(d / "here", size)
    bench_background(d, size)
    remove(d / "here")
    remove(d / "source")
    bench_boot(d)
table.end()
