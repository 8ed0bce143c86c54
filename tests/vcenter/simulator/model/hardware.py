# SPDX-License-Identifier: BSD-3-Clause
"""The virtual devices of a VM (config.hardware.device) as XML."""

from simulator.api.values import Array, Reference, leaf, tag
from simulator.model.objects import description


def devices(vm, snapshot=None):
    """The devices of the VM now, or as of a snapshot."""
    items = [("VirtualLsiLogicController",
              leaf("key", 1000) + tag("deviceInfo", description("SCSI controller 0", "LSI Logic"),
                                      xsi="Description") +
              leaf("busNumber", 0) + leaf("hotAddRemove", True) +
              leaf("sharedBus", vm.bus_sharing) + leaf("scsiCtlrUnitNumber", 7))]
    for unit, disk in enumerate(vm.disks):
        items.append(("VirtualDisk", _virtual_disk(vm, unit, disk, snapshot)))
    items.append(("VirtualVmxnet3", leaf("key", 4000) + tag(
        "deviceInfo", description("Network adapter 1", "VM Network"), xsi="Description")))
    return Array("VirtualDevice", items)


def _virtual_disk(vm, unit, disk, snapshot):
    with disk.lock:
        state = snapshot.disk_snapshots[disk.key] if snapshot else disk
        older = disk.snapshots[:disk.snapshots.index(state)] if snapshot else disk.snapshots
        chain = [(disk.base_name, None)] if vm.has_chain else []
        chain += [(one.file_name, one.change_id) for one in older]
        own_id = state.change_id if snapshot else None
        return (leaf("key", disk.key) +
                tag("deviceInfo", description(f"Hard disk {unit + 1}", f"{state.size // 1024:,} KB"),
                    xsi="Description") +
                _backing("backing", vm, disk, chain + [(state.file_name, own_id)]) +
                leaf("controllerKey", 1000) + leaf("unitNumber", unit) +
                leaf("capacityInKB", state.size // 1024) + leaf("capacityInBytes", state.size))


def _backing(element, vm, disk, chain):
    """The last VMDK of a chain of (file name, changeId), with its parents within it."""
    name, change_id = chain[-1]
    inner = (leaf("fileName", f"[{vm.datastore.name}] {name}") +
             (Reference(vm.datastore).field("datastore") if disk.names_datastore else "") +
             leaf("diskMode", disk.mode) +
             leaf("split", False) + leaf("writeThrough", False) + leaf("thinProvisioned", True) +
             leaf("uuid", "6000C29" + vm.uuid[7:]) + leaf("contentId", "fffffffe") +
             (leaf("changeId", change_id) if change_id else "") +
             (leaf("compatibilityMode", disk.rdm) if disk.rdm else "") +
             (_backing("parent", vm, disk, chain[:-1]) if len(chain) > 1 else "") +
             (leaf("sharing", disk.sharing) if disk.sharing else "") +
             leaf("digestEnabled", False))
    if element == "parent":
        return tag(element, inner)
    return tag(element, inner, xsi="VirtualDiskRawDiskMappingVer1BackingInfo" if disk.rdm
               else "VirtualDiskFlatVer2BackingInfo")
