# SPDX-License-Identifier: BSD-3-Clause
"""The virtual devices of a VM (config.hardware.device) as XML."""

from simulator.api.values import Array, Reference, leaf, tag
from simulator.model.objects import description

CONTROLLERS = {  # class -> its label without the number
    "VirtualLsiLogicController": "SCSI controller", "VirtualLsiLogicSASController": "SCSI controller",
    "ParaVirtualSCSIController": "SCSI controller", "VirtualBusLogicController": "SCSI controller",
    "VirtualAHCIController": "SATA controller", "VirtualIDEController": "IDE", "VirtualNVMEController": "NVME controller"}


def devices(vm, snapshot=None):
    """The devices of the VM now, or as of a snapshot."""
    configuration = vm.configuration
    items = [(one["type"], _controller(vm, one)) for one in configuration.controllers]
    for position, disk in enumerate(vm.disks):
        items.append(("VirtualDisk", _virtual_disk(vm, position, disk, snapshot)))
    items += [("VirtualCdrom", _cd(one, number)) for number, one in enumerate(configuration.cds)]
    items += [(one["type"], _network(one, number)) for number, one in enumerate(configuration.networks)]
    if configuration.tpm:
        items.append(("VirtualTPM", leaf("key", 11000) + _info("Virtual TPM", "Trusted Platform Module")))
    items += [(one["type"], leaf("key", one["key"]) + _info(one["label"], one["label"]))
              for one in configuration.others]
    return Array("VirtualDevice", items)


def _controller(vm, one):
    scsi = CONTROLLERS[one["type"]].startswith("SCSI")
    return (leaf("key", one["key"]) + _info(f"{CONTROLLERS[one['type']]} {one['bus']}", one["type"]) +
            leaf("busNumber", one["bus"]) +
            (leaf("hotAddRemove", True) + leaf("sharedBus", vm.bus_sharing) + leaf("scsiCtlrUnitNumber", 7)
             if scsi else ""))


def _cd(one, number):
    iso = one.get("iso")
    backing = (tag("backing", leaf("fileName", iso), xsi="VirtualCdromIsoBackingInfo") if iso else
               tag("backing", leaf("deviceName", "") + leaf("exclusive", False),
                   xsi="VirtualCdromRemotePassthroughBackingInfo"))
    return (leaf("key", one["key"]) + _info(f"CD/DVD drive {number + 1}", iso or "Remote device") + backing +
            _connectable(one) + leaf("controllerKey", one["controller"]) + leaf("unitNumber", one["unit"]))


def _network(one, number):
    if "portgroup" in one:  # of a distributed switch
        backing = tag("backing", tag("port", leaf("switchUuid", "50 2a") + leaf("portgroupKey", one["portgroup"])),
                      xsi="VirtualEthernetCardDistributedVirtualPortBackingInfo")
    else:
        backing = tag("backing", leaf("deviceName", one["network"]), xsi="VirtualEthernetCardNetworkBackingInfo")
    return (leaf("key", one["key"]) +
            _info(f"Network adapter {number + 1}", one.get("network", "a distributed switch")) + backing +
            _connectable(one) + leaf("controllerKey", 100) + leaf("unitNumber", 7 + number) +
            leaf("addressType", "assigned") + leaf("macAddress", one["mac"]))


def _connectable(one):
    connected = one.get("connected", True)
    return tag("connectable", leaf("startConnected", connected) + leaf("allowGuestControl", True) +
               leaf("connected", connected))


def _info(label, summary):
    return tag("deviceInfo", description(label, summary), xsi="Description")


def _virtual_disk(vm, position, disk, snapshot):
    controller, unit = vm.configuration.place(position, disk.key)
    with disk.lock:
        state = snapshot.disk_snapshots[disk.key] if snapshot else disk
        older = disk.snapshots[:disk.snapshots.index(state)] if snapshot else disk.snapshots
        chain = [(disk.base_name, None)] if vm.has_chain else []
        chain += [(one.file_name, one.change_id) for one in older]
        own_id = state.change_id if snapshot else None
        return (leaf("key", disk.key) +
                _info(f"Hard disk {position + 1}", f"{state.size // 1024:,} KB") +
                _backing("backing", vm, disk, chain + [(state.file_name, own_id)]) +
                leaf("controllerKey", controller) + leaf("unitNumber", unit) +
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
             (tag("keyId", leaf("keyId", disk.crypto_key)) if disk.crypto_key else "") +
             leaf("digestEnabled", False))
    if element == "parent":
        return tag(element, inner)
    return tag(element, inner, xsi="VirtualDiskRawDiskMappingVer1BackingInfo" if disk.rdm
               else "VirtualDiskFlatVer2BackingInfo")
