# SPDX-License-Identifier: BSD-3-Clause
"""The disks and CD drives of a libvirt domain: on which bus they are, where on it, and their XML.

With the drivers of virtio: SCSI disks are on virtio-scsi, a controller for each, at the same places. NVMe disks are virtio-blk,
as libvirt has no emulated NVMe. Disks on SATA and IDE stay there: the guest has the drivers.

Without: LSI Logic SAS is lsisas1068, the same device. Other SCSI disks and NVMe disks are on SATA: QEMU has no LSI Logic
parallel or BusLogic that their drivers know, and libvirt has no PVSCSI for QEMU.

IDE needs the machine type pc. A machine is one if it has IDE disks and a BIOS; with q35, what was on IDE is on SATA.
"""
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from .definition import Cd, Definition, Disk

PORTS = 6  # of a SATA controller
_PREFIX = {"scsi": "sd", "sata": "sd", "ide": "hd", "virtio": "vd"}


@dataclass(frozen=True)
class Image:
    """The copy of a disk: a file, or a block device."""

    path: str  # absolute
    format: str = "qcow2"  # raw

    def add_to(self, disk: Element) -> None:
        block = self.path.startswith("/dev/")
        disk.set("type", "block" if block else "file")
        SubElement(disk, "driver", name="qemu", type=self.format, discard="unmap")
        SubElement(disk, "source", {"dev" if block else "file": self.path})


@dataclass(frozen=True)
class Export:
    """The copy of a disk that an NBD server serves, on a socket of this host."""

    socket: str  # absolute
    name: str = ""

    def add_to(self, disk: Element) -> None:
        disk.set("type", "network")
        SubElement(disk, "driver", name="qemu", type="raw", discard="unmap")
        source = SubElement(disk, "source", protocol="nbd", name=self.name)
        SubElement(source, "host", transport="unix", socket=self.socket)


Copy = Image | Export


def has_ide_disks(definition: Definition, copies: Mapping[str, Copy]) -> bool:
    return any(disk.bus == "ide" and disk.name in copies for disk in definition.disks)


class Storage:
    def __init__(self, definition: Definition, copies: Mapping[str, Copy], virtio: bool, ide: bool) -> None:
        """copies: by the names of the disks; a disk without one is left out. ide: the machine has IDE."""
        self._virtio, self._ide = virtio, ide
        self._disks = [disk for disk in definition.disks if disk.name in copies]
        self._cds = definition.cds
        self._copies = copies
        self._letters = {prefix: _letters() for prefix in set(_PREFIX.values())}
        self._port = itertools.count()  # of SATA
        numbers = {disk.controller_number for disk in self._disks if self._bus(disk) == "scsi"}
        # Without gaps: libvirt would fill them with controllers of its own.
        self._scsi = {number: index for index, number in enumerate(sorted(numbers))}
        self.elements: dict[str, Element] = {}  # by the names of the devices
        for disk in self._disks:
            self.elements[disk.name] = self._disk(disk)
        for cd in self._cds:
            self.elements[cd.name] = self._cd(cd)

    def controllers(self) -> Iterator[Element]:
        """Those that the devices are on, but for IDE, which the machine type has."""
        for index in self._scsi.values():
            yield Element("controller", type="scsi", index=str(index), model="virtio-scsi" if self._virtio else "lsisas1068")
        used = [int(one.get("controller", "")) for element in self.elements.values() if _target(element).get("bus") == "sata"
                for one in element.iter("address")]
        for number in sorted(set(used)):
            yield Element("controller", type="sata", index=str(number))

    def _bus(self, device: Disk | Cd) -> str:
        match device.bus:
            case "ide":
                return "ide" if self._ide else "sata"
            case "sata":
                return "sata"
            case "nvme":
                return "virtio" if self._virtio else "sata"
        is_cd = isinstance(device, Cd)
        return "scsi" if not is_cd and (self._virtio or device.controller == "lsisas") else "sata"

    def _disk(self, disk: Disk) -> Element:
        element = Element("disk", type="", device="disk")
        self._copies[disk.name].add_to(element)
        self._place(element, disk)
        return element

    def _cd(self, cd: Cd) -> Element:
        """Empty: what was in it is in a datastore of VMware."""
        element = Element("disk", type="file", device="cdrom")
        SubElement(element, "driver", name="qemu", type="raw")
        self._place(element, cd)
        SubElement(element, "readonly")
        return element

    def _place(self, element: Element, device: Disk | Cd) -> None:
        bus = self._bus(device)
        SubElement(element, "target", dev=_PREFIX[bus] + next(self._letters[_PREFIX[bus]]), bus=bus)
        if bus == "virtio":  # libvirt gives it a place
            return
        controller, number, target, unit = 0, 0, 0, 0
        match bus:
            case "scsi":
                controller, target = self._scsi[device.controller_number], device.unit
            case "ide":
                number, unit = device.controller_number, device.unit
            case "sata":
                controller, unit = divmod(next(self._port), PORTS)
        SubElement(element, "address", type="drive", controller=str(controller), bus=str(number), target=str(target),
                   unit=str(unit))


def _target(element: Element) -> Element:
    found = element.find("target")
    assert found is not None
    return found


def _letters() -> Iterator[str]:
    """a to z, aa, ab ..."""
    for length in itertools.count(1):
        for letters in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=length):
            yield "".join(letters)
