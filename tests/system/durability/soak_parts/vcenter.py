# SPDX-License-Identifier: BSD-3-Clause
"""The simulated vCenter with one machine of one disk."""

import json
import os
from dataclasses import dataclass

from unit.client import Simulator

from soak_parts import processes

VM, DISK = "vm-42", 2000
OTHER_PRODUCT = "another product"
PROGRAM = os.path.join(os.environ["SOURCE"], "tests/vcenter/vcenter.py")


@dataclass(frozen=True)
class Counters:
    """What the simulator has done so far."""
    taken: int        # snapshots, by whomever
    asked: int        # CreateSnapshot_Task
    removals: int     # RemoveSnapshot_Task
    copied: int       # bytes of disks
    own: int          # snapshots that exist, without those of the other product


class Vcenter(Simulator):
    """Serves live.img. DELAY_MS: of each request for bytes of the disk, so that a run has a middle."""

    DELAY_MS = 12

    def __init__(self):  # pylint: disable=super-init-not-called
        self.log = open("vcenter.out", "wb")
        self.process = processes.start(
            ["/usr/bin/python3", PROGRAM, "--directory", "vcenter", "--ready", "vcenter.json", "--task-ms", "40",
             "--delay-ms", str(self.DELAY_MS), "--vm", f"/DC0/vm/web1={VM}", "--disk", f"{DISK}=live.img"], self.log)
        processes.until(lambda: os.path.exists("vcenter.json") or self.process.poll() is not None,
                        "the start of the simulated vCenter")
        with open("vcenter.json", encoding="utf-8") as file:
            self.facts = json.load(file)
        self.cookie = None
        self.connection = self.connect()
        self.login()

    def counters(self):
        now = self.control("state")
        vm, calls = now["vms"][VM], now["soap"]
        return Counters(vm["taken"], calls.get("CreateSnapshot_Task", 0), calls.get("RemoveSnapshot_Task", 0),
                        now["folder"]["bytes"], sum(one["name"] != OTHER_PRODUCT for one in vm["snapshots"]))

    def write(self, offset, data):
        self.control("write", data, disk=DISK, offset=offset)

    def unmap(self, offset, length):
        self.control("unmap", disk=DISK, offset=offset, length=length)

    def remove_all_snapshots(self):
        """As an administrator does it. Another task of the machine may be under way."""
        def removed():
            try:
                return self.task("RemoveAllSnapshots_Task", "VirtualMachine", VM)[0] == "success"
            except Exception as fault:  # pylint: disable=broad-except
                if getattr(fault, "kind", "") != "TaskInProgress":
                    raise
                return False
        processes.until(removed, "the removal of all snapshots")

    def snapshot_of_other_product(self):
        """Best effort: the run may have begun a task."""
        try:
            return self.snapshot(VM, OTHER_PRODUCT)
        except Exception as fault:  # pylint: disable=broad-except
            if getattr(fault, "kind", "") != "TaskInProgress":
                raise
            return None
