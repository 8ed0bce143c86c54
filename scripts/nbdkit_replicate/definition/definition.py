# SPDX-License-Identifier: BSD-3-Clause
"""The values of definition.json: a virtual machine of VMware without the content of its disks.

The JSON has the fields of these classes, by the same names. A reader ignores fields that it does not know; "format" becomes
another number when a reader of today would understand something wrong.
"""
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..messages import Failure

FORMAT = 1
FILE_NAME = "definition.json"


@dataclass(frozen=True)
class Guest:
    id: str = ""  # of VMware: debian12_64Guest; "" is unknown
    name: str = ""
    details: Mapping[str, str] = field(default_factory=dict)  # as VMware Tools have told: distroName, distroVersion, prettyName


@dataclass(frozen=True)
class Disk:
    name: str  # the device key, 2000: the name of its export, and of its image
    label: str = ""  # Hard disk 1
    size: int = 0  # bytes
    bus: str = ""  # scsi, sata, ide, nvme
    controller: str = ""  # pvscsi, lsilogic, lsisas, buslogic, ahci, piix4, nvme
    controller_number: int = 0
    unit: int = 0  # on the controller
    file: str = ""  # [DATASTORE] PATH
    mode: str = ""  # persistent, independent_persistent, ...
    thin: bool = False
    raw_device: bool = False  # a raw device mapping


@dataclass(frozen=True)
class Cd:
    name: str
    label: str = ""
    bus: str = ""
    controller: str = ""
    controller_number: int = 0
    unit: int = 0
    iso: str = ""  # [DATASTORE] PATH; "" is none
    connected: bool = True


@dataclass(frozen=True)
class Network:
    name: str
    label: str = ""  # Network adapter 1
    model: str = "vmxnet3"  # e1000, e1000e, vmxnet, vmxnet2, vmxnet3, pcnet32, sriov
    mac: str = ""
    network: str = ""  # the name of the port group; of a distributed switch its key
    connected: bool = True  # when the machine is started


@dataclass(frozen=True)
class Tools:
    running: bool = False
    version: int = 0


@dataclass(frozen=True)
class OtherDevice:
    """One that has no counterpart here, such as a device of the host that is passed through."""

    type: str
    label: str = ""


@dataclass(frozen=True)
class Definition:
    name: str
    uuid: str  # of the BIOS, which the guest sees
    cpus: int
    memory: int  # bytes
    cores_per_socket: int = 1
    firmware: str = "bios"  # efi
    secure_boot: bool = False
    tpm: bool = False
    guest: Guest = Guest()
    annotation: str = ""
    disks: tuple[Disk, ...] = ()  # by their device keys
    cds: tuple[Cd, ...] = ()
    networks: tuple[Network, ...] = ()
    boot_order: tuple[str, ...] = ()  # "disk 2000", "network 4000", "cd", "floppy"; () is the firmware's own
    tools: Tools = Tools()
    other_devices: tuple[OtherDevice, ...] = ()
    vmware: Mapping[str, str] = field(default_factory=dict)  # version of the hardware, instance_uuid, vmx

    @property
    def efi(self) -> bool:
        return self.firmware == "efi"


_Item = TypeVar("_Item")


def from_json(values: Mapping[str, Any]) -> Definition:
    """Raises Failure if it is none."""
    try:
        if values.get("format") != FORMAT:
            raise Failure(f"the definition has the format {values.get('format')}; this version knows {FORMAT}")
        return _made(Definition, {
            **values, "guest": _made(Guest, values["guest"]), "tools": _made(Tools, values["tools"]),
            "disks": tuple(_made(Disk, one) for one in values["disks"]),
            "cds": tuple(_made(Cd, one) for one in values["cds"]),
            "networks": tuple(_made(Network, one) for one in values["networks"]),
            "other_devices": tuple(_made(OtherDevice, one) for one in values["other_devices"]),
            "boot_order": tuple(values["boot_order"])})
    except (KeyError, TypeError, AttributeError) as e:
        raise Failure(f"this is no definition of a virtual machine: {e!r}") from None


def to_json(definition: Definition) -> str:
    return json.dumps({"format": FORMAT, **dataclasses.asdict(definition)}, indent=2, ensure_ascii=False) + "\n"


def _made(kind: type[_Item], values: Mapping[str, Any]) -> _Item:
    known = {one.name for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in values.items() if key in known})
