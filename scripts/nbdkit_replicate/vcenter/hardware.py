# SPDX-License-Identifier: BSD-3-Clause
"""What a virtual machine is made of: vim.vm.ConfigInfo -> the content of definition.json, see definition/definition.py.

Devices are known by the names of their classes, so that this needs no client.
"""
from typing import Any

FORMAT = 1

# Class of a controller -> (bus, model)
CONTROLLERS = {
    "ParaVirtualSCSIController": ("scsi", "pvscsi"), "VirtualLsiLogicController": ("scsi", "lsilogic"),
    "VirtualLsiLogicSASController": ("scsi", "lsisas"), "VirtualBusLogicController": ("scsi", "buslogic"),
    "VirtualAHCIController": ("sata", "ahci"), "VirtualIDEController": ("ide", "piix4"),
    "VirtualNVMEController": ("nvme", "nvme")}

NETWORKS = {
    "VirtualVmxnet3": "vmxnet3", "VirtualVmxnet3Vrdma": "vmxnet3", "VirtualVmxnet2": "vmxnet2", "VirtualVmxnet": "vmxnet",
    "VirtualE1000": "e1000", "VirtualE1000e": "e1000e", "VirtualPCNet32": "pcnet32", "VirtualSriovEthernetCard": "sriov"}

# What every machine has, and what a machine elsewhere has without being told.
ALWAYS_THERE = {"VirtualPCIController", "VirtualPS2Controller", "VirtualSIOController", "VirtualKeyboard",
                "VirtualPointingDevice", "VirtualVideoCard", "VirtualVMCIDevice", "VirtualUSBController",
                "VirtualUSBXHCIController", "VirtualFloppy"}


def definition_of(config: Any, tools_running: str | None) -> dict[str, Any]:
    """tools_running: guest.toolsRunningStatus."""
    devices = list(config.hardware.device)
    controllers = {one.key: one for one in devices if _class(one) in CONTROLLERS}
    boot = config.bootOptions
    return {
        "format": FORMAT,
        "name": config.name,
        "uuid": config.uuid,
        "annotation": config.annotation or "",
        "guest": {"id": config.guestId or "", "name": config.guestFullName or "", "details": _details(config)},
        "cpus": config.hardware.numCPU,
        "cores_per_socket": config.hardware.numCoresPerSocket or 1,
        "memory": config.hardware.memoryMB << 20,
        "firmware": config.firmware or "bios",
        "secure_boot": bool(boot and boot.efiSecureBootEnabled),
        "tpm": any(_class(one) == "VirtualTPM" for one in devices),
        "disks": [_disk(one, controllers) for one in _of(devices, "VirtualDisk")],
        "cds": [_cd(one, controllers) for one in _of(devices, "VirtualCdrom")],
        "networks": [_network(one) for one in sorted(devices, key=_key) if _class(one) in NETWORKS],
        "boot_order": [word for one in (boot.bootOrder or [] if boot else []) if (word := _boot_device(one))],
        "tools": {"running": tools_running == "guestToolsRunning",
                  "version": (config.tools and config.tools.toolsVersion) or 0},
        "other_devices": [{"type": _class(one), "label": _label(one)} for one in devices if _is_other(one)],
        "vmware": {"version": config.version or "", "instance_uuid": config.instanceUuid or "",
                   "vmx": config.files.vmPathName or ""},
    }


def _disk(disk: Any, controllers: dict[int, Any]) -> dict[str, Any]:
    backing = disk.backing
    return {"name": str(disk.key), "label": _label(disk), "size": disk.capacityInBytes or disk.capacityInKB * 1024,
            **_address(disk, controllers), "file": _base(backing), "mode": getattr(backing, "diskMode", None) or "",
            "thin": bool(getattr(backing, "thinProvisioned", False)),
            "raw_device": bool(getattr(backing, "compatibilityMode", None))}


def _base(backing: Any) -> str:
    """The file that the machine has without snapshots."""
    while getattr(backing, "parent", None) is not None:
        backing = backing.parent
    return getattr(backing, "fileName", None) or ""


def _cd(drive: Any, controllers: dict[int, Any]) -> dict[str, Any]:
    iso = getattr(drive.backing, "fileName", None)
    return {"name": str(drive.key), "label": _label(drive), **_address(drive, controllers), "iso": iso or "",
            "connected": _connected_at_start(drive)}


def _network(card: Any) -> dict[str, Any]:
    backing = card.backing
    port = getattr(backing, "port", None)  # of a distributed switch; its network has no name here
    name = (getattr(backing, "deviceName", None) or getattr(port, "portgroupKey", None) or
            getattr(backing, "opaqueNetworkId", None))
    return {"name": str(card.key), "label": _label(card), "model": NETWORKS[_class(card)],
            "mac": (card.macAddress or "").lower(), "network": name or "", "connected": _connected_at_start(card)}


def _address(device: Any, controllers: dict[int, Any]) -> dict[str, Any]:
    controller = controllers.get(device.controllerKey)
    bus, model = CONTROLLERS.get(_class(controller), ("", ""))
    return {"bus": bus, "controller": model, "controller_number": controller.busNumber if controller is not None else 0,
            "unit": device.unitNumber or 0}


def _boot_device(device: Any) -> str:
    """"disk 2000", "network 4000", "cd" or "floppy"."""
    match _class(device):
        case "BootableDiskDevice":
            return f"disk {device.deviceKey}"
        case "BootableEthernetDevice":
            return f"network {device.deviceKey}"
        case "BootableCdromDevice":
            return "cd"
        case "BootableFloppyDevice":
            return "floppy"
    return ""


def _details(config: Any) -> dict[str, str]:
    """What VMware Tools have told of the system: distroName='ubuntu' distroVersion='22.04' ..."""
    text = next((one.value for one in config.extraConfig or [] if one.key == "guestInfo.detailed.data"), "")
    words = (word.partition("=") for word in str(text).split("' "))
    return {key.strip(): value.strip("'") for key, equals, value in words if equals and key.strip()}


def _is_other(device: Any) -> bool:
    """It has no counterpart in the definition, and somebody has to think of it."""
    kind = _class(device)
    return kind not in {"VirtualDisk", "VirtualCdrom", "VirtualTPM", *CONTROLLERS, *NETWORKS, *ALWAYS_THERE}


def _of(devices: list[Any], kind: str) -> list[Any]:
    return sorted((one for one in devices if _class(one) == kind), key=_key)


def _key(device: Any) -> int:
    return int(device.key)


def _connected_at_start(device: Any) -> bool:
    return bool(device.connectable is None or device.connectable.startConnected)


def _label(device: Any) -> str:
    return device.deviceInfo.label if device.deviceInfo else ""


def _class(one: Any) -> str:
    return type(one).__name__.rpartition(".")[2]
