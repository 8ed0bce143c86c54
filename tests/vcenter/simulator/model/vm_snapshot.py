# SPDX-License-Identifier: BSD-3-Clause
"""A snapshot of a virtual machine: one of each of its disks."""

from simulator.api.values import Reference, References, leaf, now, string, tag
from simulator.model import hardware
from simulator.model.objects import ManagedObject


class VirtualMachineSnapshot(ManagedObject):
    def __init__(self, moref, vm, number, name, text, quiesced):
        super().__init__("VirtualMachineSnapshot", moref)
        self.vm, self.number, self.name, self.text, self.quiesced = vm, number, name, text, quiesced
        self.power, self.time = vm.power, now()
        self.disk_snapshots = {}  # device key -> DiskSnapshot

    def properties(self):
        newer = self.vm.snapshots[self.vm.snapshots.index(self) + 1:][:1]
        return {"vm": Reference(self.vm), "childSnapshot": References(newer),
                "config.name": string(self.vm.name), "config.uuid": string(self.vm.uuid),
                "config.hardware.device": hardware.devices(self.vm, self)}

    def tree(self, element, newer):
        """A VirtualMachineSnapshotTree with the snapshots taken after it."""
        return tag(element, Reference(self).field("snapshot") + Reference(self.vm).field("vm") +
                   leaf("name", self.name) + leaf("description", self.text) + leaf("id", self.number) +
                   leaf("createTime", self.time) + leaf("state", self.power) +
                   leaf("quiesced", self.quiesced) +
                   (newer[0].tree("childSnapshotList", newer[1:]) if newer else "") +
                   leaf("replaySupported", False))
