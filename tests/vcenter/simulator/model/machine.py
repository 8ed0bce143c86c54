# SPDX-License-Identifier: BSD-3-Clause
"""A virtual machine and its snapshots: the devices they show, CBT switched on and off, stuns."""

import contextlib
import threading
import uuid

from simulator.model.objects import Entity, ManagedObject, description
from simulator.api.values import Array, Reference, References, Value, boolean, enumeration, leaf, now, string, tag


class Snapshot(ManagedObject):
    def __init__(self, moref, vm, number, name, text, quiesced):
        super().__init__("VirtualMachineSnapshot", moref)
        self.vm, self.number, self.name, self.text, self.quiesced = vm, number, name, text, quiesced
        self.power, self.time = vm.power, now()
        self.frozen = {}  # device key -> Frozen

    def properties(self):
        newer = self.vm.snapshots[self.vm.snapshots.index(self) + 1:][:1]
        return {"vm": Reference(self.vm), "childSnapshot": References(newer),
                "config.name": string(self.vm.name), "config.uuid": string(self.vm.uuid),
                "config.hardware.device": self.vm.devices(self)}

    def tree(self, element, newer):
        """A VirtualMachineSnapshotTree with everything taken after it."""
        return tag(element, Reference(self).field("snapshot") + Reference(self.vm).field("vm") +
                   leaf("name", self.name) + leaf("description", self.text) + leaf("id", self.number) +
                   leaf("createTime", self.time) + leaf("state", self.power) +
                   leaf("quiesced", self.quiesced) +
                   (newer[0].tree("childSnapshotList", newer[1:]) if newer else "") +
                   leaf("replaySupported", False))


class VirtualMachine(Entity):
    def __init__(self, moref, name, folder, datastore, cbt, directory=None):
        super().__init__("VirtualMachine", moref, name, folder)
        self.datastore = datastore
        self.directory = directory or name  # of its files; a machine may be renamed
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, "bios/" + moref))
        self.instance_uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, "instance/" + moref))
        self.power = "poweredOn"
        self.cbt = cbt  # as configured; whether a disk is tracked is the disk's affair
        self.disks = []
        self.snapshots = []  # oldest first; every one is the child of the one before
        self.taken = 0
        self.most_snapshots = 0  # at once
        self.template = False
        self.bus_sharing = "noSharing"  # of the SCSI controller; only shown
        self.consolidation_needed = False
        self.host = None  # the HostSystem it runs on
        self.changed = now()
        self.lock = threading.RLock()  # of the list of snapshots, power and cbt
        self.busy = threading.Lock()  # held by the one task that may run on a VM at a time

    def datacenter(self):
        return next(one for one in self.ancestors() if one.kind == "Datacenter")

    def disk(self, key):
        return next((disk for disk in self.disks if disk.key == key), None)

    # --- what tasks do

    def set_cbt(self, on):
        with self.lock:
            self.cbt, self.changed = on, now()
            if self.power != "poweredOn":
                self.stun()

    def stun(self):
        """The moment at which a running VM reopens its disks, with change tracking or without."""
        for disk in self.disks:
            disk.track(self.cbt)

    def set_power(self, on):
        with self.lock:
            self.power = "poweredOn" if on else "poweredOff"
            self.stun()

    def take_snapshot(self, moref, name, text, quiesce):
        with self.lock:
            self.taken += 1
            snapshot = Snapshot(moref, self, self.taken, name, text, quiesce)
            with contextlib.ExitStack() as all_disks:  # no write between the first and the last
                for disk in self.disks:
                    all_disks.enter_context(disk.lock)
                snapshot.frozen = {disk.key: disk.freeze() for disk in self.disks}
            self.snapshots.append(snapshot)
            self.most_snapshots = max(self.most_snapshots, len(self.snapshots))
            self.stun()  # after the freeze: tracking just switched on knows nothing of this snapshot
            return snapshot

    def remove_snapshot(self, snapshot, with_children=False):
        with self.lock:
            if snapshot not in self.snapshots:
                return
            index = self.snapshots.index(snapshot)
            doomed = self.snapshots[index:] if with_children else [snapshot]
            for one in reversed(doomed):
                for disk in self.disks:
                    disk.thaw(one.frozen[disk.key])
                self.snapshots.remove(one)
            self.stun()

    # --- what the API shows

    def properties(self):
        with self.lock:
            return super().properties() | {
                "config.name": string(self.name),
                "config.uuid": string(self.uuid),
                "config.instanceUuid": string(self.instance_uuid),
                "config.template": boolean(self.template),
                "config.version": string("vmx-19"),
                "config.changeVersion": string(self.changed),
                "config.changeTrackingEnabled": boolean(self.cbt),
                "config.files.vmPathName": string(
                    f"[{self.datastore.name}] {self.directory}/{self.name}.vmx"),
                "config.hardware.device": self.devices(None),
                "capability.snapshotOperationsSupported": boolean(True),
                "capability.changeTrackingSupported": boolean(True),
                "runtime.powerState": enumeration("VirtualMachinePowerState", self.power),
                "runtime.connectionState": enumeration("VirtualMachineConnectionState", "connected"),
                "runtime.consolidationNeeded": boolean(self.consolidation_needed),
                "runtime.host": Reference(self.host) if self.host else None,
                "datastore": References([self.datastore]),
                "parentVApp": None,
                "customValue": None,
                "snapshot": self._snapshot_info(),
                "rootSnapshot": References(self.snapshots[:1]),
            }

    def _snapshot_info(self):
        if not self.snapshots:
            return None
        return Value("VirtualMachineSnapshotInfo",
                     Reference(self.snapshots[-1]).field("currentSnapshot") +
                     self.snapshots[0].tree("rootSnapshotList", self.snapshots[1:]))

    def devices(self, snapshot):
        """The devices of the VM as of a snapshot, or, if that is None, of now."""
        items = [("VirtualLsiLogicController",
                  leaf("key", 1000) + tag("deviceInfo", description("SCSI controller 0", "LSI Logic"),
                                          xsi="Description") +
                  leaf("busNumber", 0) + leaf("hotAddRemove", True) +
                  leaf("sharedBus", self.bus_sharing) + leaf("scsiCtlrUnitNumber", 7))]
        for unit, disk in enumerate(self.disks):
            items.append(("VirtualDisk", self._disk_device(unit, disk, snapshot)))
        items.append(("VirtualVmxnet3", leaf("key", 4000) + tag(
            "deviceInfo", description("Network adapter 1", "VM Network"), xsi="Description")))
        return Array("VirtualDevice", items)

    def _disk_device(self, unit, disk, snapshot):
        with disk.lock:
            state = snapshot.frozen[disk.key] if snapshot else disk
            older = disk.snapshots[:disk.snapshots.index(state)] if snapshot else disk.snapshots
            chain = [(one.file_name, one.change_id) for one in older]
            own_id = state.change_id if snapshot else None
            return (leaf("key", disk.key) +
                    tag("deviceInfo", description(f"Hard disk {unit + 1}", f"{state.size // 1024:,} KB"),
                        xsi="Description") +
                    self._backing("backing", disk, chain + [(state.file_name, own_id)]) +
                    leaf("controllerKey", 1000) + leaf("unitNumber", unit) +
                    leaf("capacityInKB", state.size // 1024) + leaf("capacityInBytes", state.size))

    def _backing(self, element, disk, chain):
        """The last link of a chain of VMDKs, its parents within it."""
        name, change_id = chain[-1]
        inner = (leaf("fileName", f"[{self.datastore.name}] {name}") +
                 (Reference(self.datastore).field("datastore") if disk.names_datastore else "") +
                 leaf("diskMode", disk.mode) +
                 leaf("split", False) + leaf("writeThrough", False) + leaf("thinProvisioned", True) +
                 leaf("uuid", "6000C29" + self.uuid[7:]) + leaf("contentId", "fffffffe") +
                 (leaf("changeId", change_id) if change_id else "") +
                 (leaf("compatibilityMode", disk.rdm) if disk.rdm else "") +
                 (self._backing("parent", disk, chain[:-1]) if len(chain) > 1 else "") +
                 (leaf("sharing", disk.sharing) if disk.sharing else "") +
                 leaf("digestEnabled", False))
        if element == "parent":
            return tag(element, inner)
        return tag(element, inner, xsi="VirtualDiskRawDiskMappingVer1BackingInfo" if disk.rdm
                   else "VirtualDiskFlatVer2BackingInfo")
