# SPDX-License-Identifier: BSD-3-Clause
#
# The whole job by nbdkit-replicate, from the command to its exit status, compared with what does it otherwise: pipelines of
# nbdkit, nbdcopy and QEMU's tools for a full copy; for an increment a loop that reads and writes one changed area after the
# other, as programs for QueryChangedDiskAreas do, and the servers of virt-v2v. What each costs besides time is measured in
# a run of its own. REPLICATE_BENCH_MIB is the size of the full copies (1024).
#
# The time of nbdkit-replicate includes the snapshot at the simulated vCenter, both servers' starts and ends, the check of
# the result, the record of the run, and all syncs.
import json
import os
import shutil

from bench import BUILD, Directory, Table, random_file, run
from parts.job import Job, pipeline, words
from parts.vcenter import Vcenter

HERE = os.path.dirname(os.path.abspath(__file__))
COMMAND = os.path.join(HERE, "..", "..", "scripts", "nbdkit-replicate")
K, M = 1 << 10, 1 << 20
SIZE = int(os.environ.get("REPLICATE_BENCH_MIB", "1024")) * M
INCREMENT = 512 * M  # of the disk, half of which has changed
GIB = 1 << 30


def replicate(source, state, target):
    return words(COMMAND, "--quiet", "--build", BUILD, "--state", state, "--from", *source, "--to", *target)


class FullCopy:
    """The ways to copy a source whole. source: plugin and parameters of ours, and of theirs."""

    def __init__(self, directory, mine, theirs, size):
        self.d, self.mine, self.theirs, self.size = directory, mine, theirs, size
        self.image, self.socket, self.target = (directory / name for name in ("image", "source.sock", "target.sock"))

    def clear(self):
        shutil.rmtree(self.d / "state.runs", ignore_errors=True)
        for name in (self.image, self.d / "state"):
            if os.path.exists(name):
                os.unlink(name)

    def ours(self, *options):
        """options: the last parameters of the image, and options of nbdkit-replicate."""
        return Job(replicate(self.mine, self.d / "state", ["qcow2", f"file={self.image}", *options]), self.clear)

    def source(self, *filters):
        return self.socket, ["nbdkit", "-f", "-U", self.socket, "-r", *filters, *self.theirs]

    def uri(self, socket):
        return f"nbd+unix:///?socket={socket}"

    def nbdcopy(self, *options):
        return words("nbdcopy", "--flush", *options, self.uri(self.socket), self.uri(self.target))

    def qemu_nbd(self, *options):
        """nbdcopy to qemu-nbd."""
        create = words("qemu-img", "create", "-q", "-f", "qcow2", self.image, self.size)
        target = self.target, ["qemu-nbd", "--persistent", "--shared=0", f"--socket={self.target}", "-f", "qcow2", self.image]
        return Job(pipeline([self.source(), target], self.nbdcopy(*options), create), self.clear)

    def qemu_img(self):
        client = words("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-W", "-m", 8, self.uri(self.socket), self.image)
        return Job(pipeline([self.source()], client), self.clear)

    def nowhere(self, *options):
        """nbdcopy that drops what it reads: the source alone."""
        return Job(pipeline([self.source()], words("nbdcopy", *options, self.uri(self.socket), "null:")), self.clear)

    def raw(self, *options):
        """nbdcopy to a raw file of nbdkit."""
        target = self.target, ["nbdkit", "-f", "-U", self.target, "file", self.image]
        return Job(pipeline([self.source(), target], self.nbdcopy(*options), words("truncate", "-s", self.size, self.image)),
                   self.clear)


def compare(table, case, against, mine, theirs, gib, goals=None, **goal):
    """The time; and, if there are goals, what both cost, by name of the cost."""
    if table.compare(case, against, mine.seconds, theirs.seconds, **goal) is None or goals is None:
        return
    cost(table, case, against, mine, theirs, gib, goals)


def cost(table, case, against, mine, theirs, gib, goals):
    """gib: of data that is copied."""
    used, their = mine.processor, theirs.processor
    table.row(f"{case}: processor seconds a GiB", against, f"{used[-1] / gib:.2f}", f"{their[-1] / gib:.2f}",
              [a / b for a, b in zip(used, their)], at_most=goals.get("processor"))
    mine, theirs = mine.cost(), theirs.cost()
    table.row(f"{case}: memory of all processes", against, f"{mine.memory:.0f} MiB", f"{theirs.memory:.0f} MiB", [mine.memory],
              at_most=goals.get("memory"))
    table.row(f"{case}: system calls a GiB", against, f"{mine.calls / gib:.0f}", f"{theirs.calls / gib:.0f}",
              [mine.calls / theirs.calls])
    table.row(f"{case}: GiB copied by system calls a GiB", against, f"{mine.copied / 1024 / gib:.2f}",
              f"{theirs.copied / 1024 / gib:.2f}", [mine.copied / theirs.copied])


def names(source):
    """Of the cases of a full copy."""
    return [f"full copy, {source}{how}" for how in ("", ", --client pull", ", the source alone")]


def full_copies(table, source, copy, tuned, goals):
    gib = copy.size / GIB
    case, pulled, alone = names(source)
    compare(table, case, "nbdcopy, qemu-nbd", copy.ours(), copy.qemu_nbd(*tuned), gib, goals, at_most=0.60)
    compare(table, case, "qemu-img convert -W -m 8", copy.ours(), copy.qemu_img(), gib)
    compare(table, case, "nbdcopy to a raw file", copy.ours(), copy.raw(*tuned), gib, at_most=0.80)
    compare(table, pulled, "nbdcopy, qemu-nbd", copy.ours("--client", "pull"), copy.qemu_nbd(*tuned), gib,
            {"processor": 1.0, "memory": 128}, at_most=0.60)
    # What no destination can go below.
    compare(table, alone, "nbdcopy, qemu-nbd", copy.nowhere(*tuned), copy.qemu_nbd(*tuned), gib)


def from_https(table):
    if not any(map(table.selected, (*names("HTTPS"), "nothing has changed"))):
        return
    with Directory() as d:
        random_file(d / "disk", SIZE)
        with Vcenter(d, d / "disk", host=d / "disk") as vcenter:
            mine = ["vsphere", *vcenter.parameters("connections=4")]
            copy = FullCopy(d, mine, vcenter.curl(), SIZE)
            full_copies(table, "HTTPS", copy, ("--request-size=1048576", "--requests=4"), {"processor": 1.0, "memory": 128})
            nothing_changed(table, vcenter, copy)


def nothing_changed(table, vcenter, copy):
    """Above what the source server alone takes: the login, the snapshot, what has changed, and the snapshot's removal."""
    case = "nothing has changed: seconds beyond those of the source server alone"
    if not table.selected(case):
        return
    copy.clear()
    ours = Job(replicate(copy.mine, copy.d / "state", ["qcow2", f"file={copy.image}", f"size={copy.size}"]))
    ours.seconds()  # the full copy
    with open(copy.d / "state", encoding="utf-8") as file:
        since = json.load(file)["checkpoint"]
    alone = Job(pipeline([(copy.socket, ["nbdkit", "-f", "-U", copy.socket, *vcenter.plugin(f"since={since}")])], "true"))
    pairs = [(ours.seconds(), alone.seconds()) for _ in range(table.options.runs)]
    table.row(case, "the source server alone", f"{min(a for a, _ in pairs):.2f} s", f"{min(b for _, b in pairs):.2f} s",
              [a - b for a, b in pairs], at_most=1.5, form="{:.2f} s")
    table.row("nothing has changed: memory of all processes", "-", "-", "-", [ours.memory()], at_most=128, form="{:.0f} MiB")


class Increment:
    """A disk with data in every other area, all of which has changed; and a copy that has none of it."""

    def __init__(self, directory, area, *source):
        """source: parameters of vddk_like.c."""
        self.d, self.bytes = directory, INCREMENT // 2
        self.disk, self.list, self.target = (directory / name for name in ("disk", "list", "copy"))
        self.socket = directory / "source.sock"
        self.plugin = [directory / "vddk-like.so", f"file={self.disk}", *source]
        random_file(directory / "data", self.bytes)
        with open(directory / "data", "rb") as data, open(self.disk, "wb") as disk, \
                open(self.list, "w", encoding="ascii") as areas:
            for at in range(0, INCREMENT, 2 * area):
                disk.seek(at)
                disk.write(data.read(area))
                areas.write(f"{at} {area}\n")
            disk.truncate(INCREMENT)

    def prepare(self):
        with open(self.target, "wb") as file:
            file.truncate(INCREMENT)
        shutil.rmtree(self.d / "state.runs", ignore_errors=True)
        with open(self.d / "state", "w", encoding="ascii") as file:
            json.dump({"nbdkit-replicate": 1, "checkpoint": "monday", "source": "delta", "vm": "", "disk": 0,
                       "size": INCREMENT, "owed": []}, file)

    def ours(self):
        source = [*self.plugin, f"delta-map={self.list}", "delta-since=monday", "delta-checkpoint=tuesday",
                  f"coalesce-stats={self.d / 'stats'}"]
        return Job(replicate(source, self.d / "state", ["file", f"file={self.target}"]), self.prepare)

    def requests(self):
        """Of the last run of ours() to the plugin."""
        with open(self.d / "stats", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("nbdkit_coalesce_plugin_requests_total "))

    def serial(self):
        server = self.socket, ["nbdkit", "-f", "-U", self.socket, "-r", *self.plugin]
        client = words("/usr/bin/python3", f"{HERE}/parts/serial_loop.py", f"nbd+unix:///?socket={self.socket}", self.list,
                       self.target)
        return Job(pipeline([server], client), self.prepare)

    def virt_v2v(self):
        """It knows no increments; here the holes of the disk tell it what has not changed."""
        server = self.socket, ["nbdkit", "-f", "-U", self.socket, "-r", "--filter=cow", "--filter=cacheextents",
                               "--filter=retry", *self.plugin]
        out = self.d / "out.sock"
        target = out, ["nbdkit", "-f", "-U", out, "file", self.target]
        client = words("nbdcopy", "--flush", "--request-size=4194304", f"nbd+unix:///?socket={self.socket}",
                       f"nbd+unix:///?socket={out}")
        return Job(pipeline([server, target], client), self.prepare)


def increments(table):
    for area_name, area in (("64 KiB", 64 * K), ("512 KiB", 512 * K), ("4 MiB", 4 * M)):
        for source_name, source in (("5 ms", ("latency=5000", "rate=0", "parallel=1")), ("VDDK-like", ())):
            case = f"increment, {area_name} areas, {source_name}"
            if not table.selected(case):
                continue
            with Directory() as d:
                run("cc", "-O2", "-shared", "-fPIC", os.path.join(HERE, "vddk_like.c"), "-o", d / "vddk-like.so")
                job = Increment(d, area, *source)
                gib, serial_goal = job.bytes / GIB, 8 if area == 64 * K else 4
                compare(table, case, "areas one after the other", job.ours(), job.serial(), gib,
                        {"memory": 128} if area == 64 * K else None, at_least=serial_goal, faster=True)
                run("cmp", job.disk, job.target)
                table.row(f"{case}: requests a GiB", "areas one after the other", f"{job.requests() / gib:.0f}",
                          f"{job.bytes / area / gib:.0f}", [job.requests() * area / job.bytes])
                compare(table, case, "virt-v2v's servers, nbdcopy", job.ours(), job.virt_v2v(), gib, faster=True)


def from_vddk_like(table):
    if not any(map(table.selected, names("VDDK-like"))):
        return
    with Directory() as d:
        run("cc", "-O2", "-shared", "-fPIC", os.path.join(HERE, "vddk_like.c"), "-o", d / "vddk-like.so")
        random_file(d / "disk", SIZE)
        source = [d / "vddk-like.so", f"file={d / 'disk'}"]
        full_copies(table, "VDDK-like", FullCopy(d, source, source, SIZE), ("--request-size=4194304",),
                    {"processor": 1.0, "memory": 128})


table = Table("replicate")
from_https(table)
from_vddk_like(table)
increments(table)
table.end()
