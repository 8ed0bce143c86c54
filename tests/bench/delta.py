# SPDX-License-Identifier: BSD-3-Clause
#
# The delta and apply filters: the cost of a copy through them, and of a map of a million areas.
import json
import os
import shutil
import time

import bench
from bench import Directory, Server, module, run, seconds

SIZE = 1 << 30
AREAS = 1_000_000
AREA = 65536
DELTA, APPLY = module("filter", "delta"), module("filter", "apply")
COPY = ("nbdcopy", "--flush", "--request-size=262144")

table = bench.Table("delta and apply")


def copy_time(source, target, *options):
    return seconds(run, *COPY, *options, source.uri(), target.uri())


def with_filters(directory, disk, *options):
    """Seconds of a copy through delta and apply. The destination and its state are new each time, as
    after a copy nothing is owed."""
    state = directory / "state"
    if os.path.exists(state):
        os.unlink(state)
    with Server(f"--filter={DELTA}", "file", disk) as source, \
            Server(f"--filter={APPLY}", "memory", SIZE, f"apply-from={source.uri()}",
                   f"apply-state={state}") as target:
        run("nbdcopy", "--sparse=0", source.uri("honest"), "null:")  # load the disk into the page cache
        return copy_time(source, target, *options)


def without_filters(disk, *options):
    with Server("file", disk) as source, Server("memory", SIZE) as target:
        run("nbdcopy", "--sparse=0", source.uri(), "null:")
        return copy_time(source, target, *options)


def write_maps(directory):
    """A million areas of 64 KiB with gaps between them: as nbdinfo prints them, and for extentlist."""
    with open(directory / "map.json", "w") as f, open(directory / "extents", "w") as g:
        f.write("[\n")
        for i in range(AREAS):
            a, b = 2 * i * AREA, (2 * i + 1) * AREA
            f.write(f'{{ "offset": {a}, "length": {AREA}, "type": 0, "description": "data" }},\n'
                    f'{{ "offset": {b}, "length": {AREA}, "type": 3, "description": "hole,zero" }}'
                    + (",\n" if i + 1 < AREAS else "\n]\n"))
            g.write(f"{a} {AREA}\n{b} {AREA} hole\n")


def load(directory, origin):
    """Seconds until a destination server with the map has started, and its peak memory."""
    start = time.monotonic()
    with Server(f"--filter={APPLY}", "null", 2 * AREAS * AREA, f"apply-from={origin}",
                f"apply-state={directory / 'state2'}") as server:
        elapsed = time.monotonic() - start
        server.stop()
        return elapsed, server.peak


CHANGED_BLOCKS = 64


class Digests:
    """A disk, its copy, and the digests of the last run; each increment has other changed blocks."""

    def __init__(self, directory):
        self._directory = directory
        self._round = 0
        shutil.copy(directory / "disk", directory / "copy")
        with self.source() as source:
            run("nbdinfo", "--map", "--totals", source.uri())
            described = json.loads(run("nbdinfo", "--json", source.uri()))
        self._settle(json.loads(described["exports"][0]["description"]))

    def source(self):
        return Server(f"--filter={DELTA}", "file", self._directory / "disk",
                      f"delta-digests={self._directory / 'digests'}", f"delta-owed={self._directory / 'd.state'}")

    def _settle(self, description):
        with open(self._directory / "d.state", "w") as f:
            json.dump({"nbdkit-replicate": 1, "checkpoint": description["checkpoint"], "source": "delta", "vm": "",
                       "disk": 0, "size": SIZE, "owed": []}, f)

    def change(self):
        self._round += 1
        with open(self._directory / "disk", "r+b") as f:
            for i in range(CHANGED_BLOCKS):
                f.seek(i * (SIZE // CHANGED_BLOCKS) + self._round % 16 * 65536)
                f.write(os.urandom(4096))

    def increment(self):
        """Seconds of a whole run: both servers' starts, the comparison, the copy, the state."""
        self.change()
        start = time.monotonic()
        with self.source() as source, \
                Server(f"--filter={APPLY}", "file", self._directory / "copy", f"apply-from={source.uri()}",
                       f"apply-state={self._directory / 'd.state'}") as target:
            run(*COPY, source.uri(), target.uri())
            target.stop()
            return time.monotonic() - start

    def read(self):
        with Server("file", self._directory / "disk") as source:
            return seconds(run, *COPY, source.uri(), "null:")

    def rsync(self):
        self.change()
        return seconds(run, "rsync", "--inplace", "--no-whole-file", "--checksum", self._directory / "disk",
                       self._directory / "copy")


with Directory() as directory:
    bench.random_file(directory / "disk", SIZE)
    # What has not changed is a hole, as the new destination is: apply compares samples of it.
    shutil.copy(directory / "disk", directory / "half")
    for at in range(1 << 20, SIZE, 2 << 20):
        run("fallocate", "--punch-hole", "--offset", at, "--length", 1 << 20, directory / "half")

    for connections in (1, 4):
        options = (f"--connections={connections}", f"--threads={connections}")
        table.compare(f"1 GiB to memory, {connections} connections", "without delta and apply",
                      lambda: with_filters(directory, directory / "disk", *options),
                      lambda: without_filters(directory / "disk", *options), at_most=1.05)
    table.compare("512 MiB of it in 512 areas", "all of it, without",
                  lambda: with_filters(directory, directory / "half"),
                  lambda: without_filters(directory / "disk"))

    if table.selected("increment by digests"):
        digests = Digests(directory)
        table.compare(f"increment by digests, {CHANGED_BLOCKS} blocks of 1 GiB", "reading the disk: nbdcopy to null",
                      digests.increment, digests.read, at_most=1.1)
        if shutil.which("rsync"):
            table.compare(f"increment by digests, {CHANGED_BLOCKS} blocks of 1 GiB, and rsync", "rsync --inplace",
                          digests.increment, digests.rsync, at_most=0.5)

    for case, of_file in (("map of 1 000 000 areas from a file", True),
                          ("map of 1 000 000 areas from a server", False)):
        if not table.selected(case):
            continue
        write_maps(directory)
        with open(directory / "empty", "w") as f:
            f.truncate(2 * AREAS * AREA)
        with Server(f"--filter={DELTA}", "--filter=extentlist", "file", directory / "empty",
                    f"extentlist={directory / 'extents'}") as source:
            theirs, ours, peaks = [], [], []  # theirs is run once: it is slow, and there is no goal
            for _ in range(table.options.runs):
                origin = directory / "map.json" if of_file else source.uri()
                elapsed, peak = load(directory, origin)
                ours.append(elapsed)
                peaks.append(peak / (1 << 20))
                if theirs:
                    continue
                if of_file:
                    theirs.append(seconds(lambda: json.load(open(directory / "map.json"))))
                else:
                    theirs.append(seconds(run, "nbdinfo", "--map", "--totals", source.uri()))
            name = "python3's json.load" if of_file else "nbdinfo --map --totals"
            table.row(case, name, f"{min(ours):.2f} s", f"{theirs[0]:.2f} s",
                      ours, at_most=1.5, form="{:.2f} s")
            table.row(case + ", memory", "-", f"{max(peaks):.0f} MiB", "-", peaks, at_most=64,
                      form="{:.0f} MiB")

table.end()
