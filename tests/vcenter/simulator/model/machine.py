# SPDX-License-Identifier: BSD-3-Clause
"""A virtual machine: its disks and snapshots, CBT as configured, and stuns."""

import contextlib
import threading
import uuid

from simulator.api.values import now
from simulator.model.configuration import Configuration
from simulator.model.guest import Guest
from simulator.model.machine_properties import machine_properties
from simulator.model.objects import Entity
from simulator.model.power import Power
from simulator.model.vm_snapshot import VirtualMachineSnapshot


class VirtualMachine(Entity):
    def __init__(self, moref, name, folder, datastore, cbt, directory=None):
        super().__init__("VirtualMachine", moref, name, folder)
        self.datastore = datastore
        self.directory = directory or name  # of its files; stays when the VM is renamed
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, "bios/" + moref))
        self.instance_uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, "instance/" + moref))
        self.configuration = Configuration()
        self.guest = Guest(self)
        self.state = Power(self)
        self.cbt = cbt  # as configured; takes effect at the next stun
        self.disks = []
        self.snapshots = []  # VirtualMachineSnapshot, oldest first; each is the child of the one before
        self.taken = 0  # snapshots so far
        self.most_snapshots = 0  # at the same time
        self.template = False
        self.bus_sharing = "noSharing"  # of the SCSI controller; only shown
        self.consolidation_needed = False
        self.has_chain = False  # without a snapshot: only shown
        self.host = None  # the HostSystem it runs on
        self.counts = None  # SnapshotCounts of the inventory
        self.changed = now()
        self.lock = threading.RLock()  # protects snapshots, power and cbt
        self.busy = threading.Lock()  # held by a task: a VM runs one at a time

    def datacenter(self):
        return next(one for one in self.ancestors() if one.kind == "Datacenter")

    def disk(self, key):
        return next((disk for disk in self.disks if disk.key == key), None)

    @property
    def power(self):
        return self.state.state

    # --- changes, mostly by tasks

    def set_cbt(self, on):
        with self.lock:
            self.cbt, self.changed = on, now()
            if self.power != "poweredOn":
                self.stun()

    def stun(self):
        """A running VM reopens its disks. This switches change tracking on or off as configured."""
        for disk in self.disks:
            disk.track(self.cbt)

    def take_snapshot(self, moref, name, text, quiesce):
        with self.lock:
            self.taken += 1
            snapshot = VirtualMachineSnapshot(moref, self, self.taken, name, text, quiesce)
            with contextlib.ExitStack() as all_disks:  # no write between the disks
                for disk in self.disks:
                    all_disks.enter_context(disk.lock)
                snapshot.disk_snapshots = {disk.key: disk.take_snapshot() for disk in self.disks}
            self.snapshots.append(snapshot)
            self.counts.add(self, 1)
            self.most_snapshots = max(self.most_snapshots, len(self.snapshots))
            self.stun()  # tracking that starts now does not cover this snapshot
            self.guest.snapshot_taken()
            return snapshot

    def remove_snapshot(self, snapshot, with_children=False):
        with self.lock:
            if snapshot not in self.snapshots:
                return
            index = self.snapshots.index(snapshot)
            removed = self.snapshots[index:] if with_children else [snapshot]
            for one in reversed(removed):
                for disk in self.disks:
                    disk.remove_snapshot(one.disk_snapshots[disk.key])
                self.snapshots.remove(one)
                self.counts.add(self, -1)
            self.stun()

    # --- properties

    def properties(self):
        with self.lock:
            return super().properties() | machine_properties(self)
