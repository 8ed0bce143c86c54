# SPDX-License-Identifier: BSD-3-Clause
"""The machine, its image, the DR server, and what must be true of them after each run."""

import os
import shutil

from soak_parts import moments
from soak_parts.dr_server import DrServer
from soak_parts.guest import SIZE, Guest
from soak_parts.processes import TOKEN, kill_all
from soak_parts.run import STATE, Run, image_content
from soak_parts.storage import Storage
from soak_parts.vcenter import Vcenter
from soak_parts.violation import BLOCK, Violation, compare

COMMAND = os.path.join(os.environ["SOURCE"], "scripts/nbdkit-replicate")
COMPLETE, BEHIND = 0, 3  # exit statuses


class Site:
    """A context manager: at its end no process is left."""

    def __init__(self, rng):
        os.makedirs("tmp")
        with open("vc.pass", "w", encoding="ascii") as file:
            file.write("s3cret")
        self.begin_round(rng)
        self.guest = Guest(rng.randbytes)
        self.image = Storage("image")
        self.image_file = self.image.file("web1.qcow2")
        self.runs = 0  # so far
        self.files = []  # after a complete copy

    def begin_round(self, rng):
        self.rng = rng
        self.retries = rng.choice((0, 4))  # before a DR server that is away is given up
        self.outcomes = []  # exit statuses of the runs of this round

    def __enter__(self):
        try:
            self.vcenter = self.guest.vcenter = Vcenter()
            self.dr = DrServer()
            self.start_afresh()
            self.complete()
            self.check_files()
        except BaseException:
            kill_all([TOKEN])
            raise
        return self

    def __exit__(self, *_):
        kill_all([TOKEN])

    def start_afresh(self):
        """No image, no state, an empty DR disk: the next run copies everything."""
        shutil.rmtree("state", ignore_errors=True)
        os.makedirs("state")
        self.image.clear()
        self.dr.stop()
        self.dr.empty()
        self.dr.start()
        self.there = bytes(SIZE)  # the content of the last complete copy

    def expected(self):
        """About how many bytes the next run reads."""
        now = self.guest.content()
        return BLOCK * max(1, sum(now[at:at + BLOCK] != self.there[at:at + BLOCK] for at in range(0, SIZE, BLOCK)))

    def run(self, strike=lambda run: True, moment=None, may_be_dirty=False):
        """One run, checked. At the moment strike(run) is called, until it returns True. may_be_dirty: of an image that
        is called complete. Returns the exit status, and whether the strike has happened."""
        frozen = self.guest.content()  # nobody writes before the snapshot exists
        writes = moments.by_amount(self.rng, self.expected())
        pending = [(moment, lambda: strike(run))] if moment else []
        pending.append((writes, lambda: self.guest.write(self.rng) or True))
        self.image.all_synced()
        self.runs += 1
        environment = self.image.environment() | {"TMPDIR": os.path.abspath("tmp")}
        run = Run(self.runs, self._command(), environment, self.vcenter)

        def on_look(seen):
            for entry in list(pending):
                if entry[0].reached(seen) and entry[1]():
                    pending.remove(entry)
            return bool(pending)
        status = run.finish(on_look)
        self.outcomes.append(status)
        self._check_content(status, frozen, may_be_dirty)
        return status, not any(entry[0] is moment for entry in pending)

    def try_to_complete(self):
        """The same command with nothing wrong. Returns whether it is complete after at most 2 runs."""
        return any(self.run()[0] == COMPLETE for _ in range(2))

    def complete(self):
        if not self.try_to_complete():
            raise Violation(f"the same command is not complete after so many runs: exit statuses {self.outcomes}")

    def _check_content(self, status, frozen, may_be_dirty):
        """What the exit status promises is true."""
        if status not in (COMPLETE, BEHIND):
            return
        others = {"of the live disk": self.guest.content(), "of the copy before": self.there, "zeroes": bytes(SIZE)}
        image = image_content(self.image_file, may_be_dirty)
        compare(f"exit status {status}, and the image", frozen, image, others)
        if status == COMPLETE:
            compare("exit status 0, and the DR disk", frozen, self.dr.content(), others)
            self.there = frozen

    def check_nothing_left(self, snapshot=False, directory=False):
        """snapshot, directory: these may be."""
        counters = self.vcenter.counters()
        if counters.own and not snapshot:
            raise Violation(f"{counters.own} snapshots are left behind")
        if os.listdir("tmp") and not directory:
            raise Violation(f"temporary files are left behind: {os.listdir('tmp')}")

    def check_files(self):
        """After a complete copy there are the files that there are after the first one, beside the records of runs."""
        found = sorted(os.path.join(folder, name) for root in ("state", "image")
                       for folder, _, names in os.walk(root) for name in names if not folder.endswith(".runs"))
        self.files = self.files or found
        strange = [name for name in found if name not in self.files]
        if strange:
            raise Violation(f"files are left behind: {strange}, beside {self.files}")

    def _command(self):
        server = self.vcenter.facts
        return [COMMAND, "--build", os.environ["BUILD"], "--state", STATE,
                "--from", "vsphere", f"server={server['host']}", "user=administrator@vsphere.local",
                "password=+vc.pass", f"cafile={server['cafile']}", "vm=/DC0/vm/web1", "disk=2000", "connections=1",
                "coalesce-prefetch=off", "coalesce-chunk=64K", "coalesce-workers=1",
                "--to", "qcow2", self.image_file, "--also", self.dr.uri, f"fanout-name={DrServer.NAME}",
                f"fanout-retries={self.retries}", "fanout-retry-delay=0.1", "fanout-retry-max=0.3"]
