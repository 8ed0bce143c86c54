# SPDX-License-Identifier: BSD-3-Clause
#
# How time and memory grow with the work: the number of changed areas, the size of the disk, destinations, the images of a
# chain, disks at once. A row shows the growth from the smallest to the largest amount as an exponent: 1 is in proportion to the
# work, 0 does not depend on it. What the smallest amount takes is what a start takes, and is not taken for growth.
# GROWTH_MOST is the largest number of areas (10000000).
import json
import math
import os
import shutil
import statistics
import time

import nbd

from bench import BUILD, Directory, Server, Table, module, random_file, run, seconds
from parts.job import Job, words

COMMAND = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "nbdkit-replicate")
DELTA, APPLY, FANOUT = (f"--filter={module('filter', name)}" for name in ("delta", "apply", "fanout"))
QCOW2 = module("plugin", "qcow2")
M, G, T = 1 << 20, 1 << 30, 1 << 40
AREA = 65536
MOST = int(os.environ.get("GROWTH_MOST", "10000000"))

table = Table("growth")


def exponent(points):
    """Of the growth beyond the first point, by the last two. 1 if twice the amount takes twice as much."""
    (least, base), (before, earlier), (most, latest) = points[0], points[-2], points[-1]
    if earlier - base < 0.2 * base:  # nothing has grown until here: as if it had grown all the way
        return max(0.0, math.log(latest / base) / math.log(most / least))
    return math.log(max(latest - base, 1e-9) / (earlier - base)) / math.log((most - least) / (before - least))


def curve(case, amounts, measure, unit, at_most=1.15):
    """measure(amount) -> {"seconds": ..., "MiB": ...}"""
    if not table.selected(case):
        return
    found = {}
    for amount in amounts:
        runs = [measure(amount) for _ in range(table.options.runs)]
        for what in runs[0]:
            found.setdefault(what, []).append((amount, statistics.median(one[what] for one in runs)))
    for what, points in found.items():
        form = "{:.2f}" if what.startswith("seconds") else "{:.0f}"
        table.row(f"{case}: {what}", f"{amounts[0]} to {amounts[-1]} {unit}", form.format(points[-1][1]),
                  form.format(points[0][1]), [exponent(points)], at_most=at_most, points=points)


def write_list(path, areas, step):
    with open(path, "w", encoding="ascii") as file:
        for first in range(0, areas, 10000):
            file.write("".join(f"{i * step} {AREA}\n" for i in range(first, min(first + 10000, areas))))


def areas(d):
    """The start of a destination that takes the map from a source."""
    amounts = [n for n in (1000, 10_000, 100_000, 1_000_000, 10_000_000) if n <= MOST]

    def measure(count):
        path = d / "list"
        write_list(path, count, 2 * AREA)
        begin = time.monotonic()
        with Server(DELTA, "null", 2 * AREA * count, f"delta-map={path}", "delta-since=a", "delta-checkpoint=b") as source:
            loaded = time.monotonic()
            state = d / "state"
            if os.path.exists(state):
                os.unlink(state)
            with Server(APPLY, "null", 2 * AREA * count, f"apply-from={source.uri()}", f"apply-state={state}") as target:
                took = time.monotonic() - loaded
                return {"seconds": took, "MiB": target.resident() / M, "seconds of delta-map=": loaded - begin,
                        "MiB of the source": source.resident() / M}

    curve("areas, read from a source", amounts, measure, "areas")


def increment(d, disk_size, changed, plugin=(), client="nbdcopy"):
    """nbdkit-replicate of so many changed areas, into an image over one of the same size."""
    write_list(d / "list", changed, disk_size // changed // AREA * AREA)
    for name in ("base.qcow2", "top.qcow2"):
        if os.path.exists(d / name):
            os.unlink(d / name)
    run("qemu-img", "create", "-q", "-f", "qcow2", d / "base.qcow2", disk_size)
    with open(d / "state", "w", encoding="ascii") as file:
        json.dump({"nbdkit-replicate": 1, "checkpoint": "a", "source": "delta", "vm": "", "disk": 0, "size": disk_size,
                   "owed": []}, file)
    shutil.rmtree(d / "state.runs", ignore_errors=True)
    source = plugin or ["memory", disk_size]
    return Job(words(COMMAND, "-q", "--client", client, "--build", BUILD, "--state", d / "state", "--from", *source,
                     f"delta-map={d / 'list'}", "delta-since=a", "delta-checkpoint=b", "--to", "qcow2",
                     f"file={d / 'top.qcow2'}", f"backing={d / 'base.qcow2'}", "backing-format=qcow2", "apply-verify=off"))


def sizes(d):
    for client, case in (("nbdcopy", ""), ("pull", ", --client pull")):
        def measure(size):
            job = increment(d, size, 1000, client=client)
            return {"seconds": job.seconds(), "MiB": job.memory()}

        curve(f"size of the disk, 1000 changed areas{case}", [G, 64 * G, T, 16 * T, 62 * T], measure, "bytes")


def destinations(d):
    size = 256 * M
    random_file(d / "source", size)

    def measure(count):
        servers = [Server("memory", size) for _ in range(count)]
        for server in servers:
            server.__enter__()
        try:
            of_each = [word for n, s in enumerate(servers) for word in (f"fanout-dest={s.uri()}", f"fanout-name=d{n}")]
            with Server(FANOUT, "memory", size, *of_each) as server:
                took = seconds(run, "nbdcopy", "--flush", d / "source", server.uri())
                return {"seconds": took, "MiB": server.resident() / M - size / M}
        finally:
            for server in servers:
                server.__exit__()

    curve("destinations", [1, 2, 4, 8, 16], measure, "destinations")


def write_one(uri, data, offset):
    handle = nbd.NBD()
    handle.connect_uri(uri)
    for at in range(0, len(data), M):
        handle.pwrite(data[at:at + M], offset + at)
    handle.flush()
    handle.shutdown()


def chains(d):
    """Each image holds another 4 MiB of the disk."""
    size, piece = 256 * M, os.urandom(4 * M)

    def measure(length):
        for name in os.listdir(d.path):
            os.unlink(d / name)
        for level in range(length):
            over = [f"backing={d / f'chain{level - 1}'}", "backing-format=qcow2"] if level else [f"size={size}"]
            with Server(QCOW2, f"file={d / f'chain{level}'}", *over) as server:
                write_one(server.uri(), piece, level * len(piece))
        begin = time.monotonic()
        with Server(QCOW2, f"file={d / f'chain{length - 1}'}", "read-only=on", "backing=auto") as server:
            run("nbdcopy", "--allocated", server.uri(), "null:")
            return {"seconds": time.monotonic() - begin, "MiB": server.resident() / M}

    curve("images of a chain, read whole", [1, 4, 16, 64], measure, "images")


def disks(d):
    os.makedirs(d / "disks", exist_ok=True)
    size = 32 * M

    def measure(count):
        for name in os.listdir(d / "disks"):
            os.unlink(f"{d / 'disks'}/{name}")
        for number in range(count):
            random_file(f"{d / 'disks'}/d{number}", size, number)

        def prepare():
            shutil.rmtree(d / "states", ignore_errors=True)
            shutil.rmtree(d / "images", ignore_errors=True)
            os.makedirs(d / "images")

        job = Job(words(COMMAND, "-q", "--build", BUILD, "--state", f"{d / 'states'}/", "--at-once", count, "--from", "file",
                        f"dir={d / 'disks'}", "--to", "qcow2", f"file={d / 'images'}/{{disk}}.qcow2"), prepare)
        return {"seconds": job.seconds(), "MiB": job.memory()}

    curve("disks at once", [1, 2, 4, 8, 16, 32], measure, "disks of 32 MiB")


for part in (areas, sizes, destinations, chains, disks):
    with Directory() as directory:
        part(directory)
table.end()
