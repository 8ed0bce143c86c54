# SPDX-License-Identifier: BSD-3-Clause
"""A libvirt domain made of a definition, with our copies as its disks: XML for virsh define and for virt-v2v -i libvirtxml.

It is a domain of KVM that the guest can boot with the drivers that it has, as far as that is known. For disks see
domain_storage.

- q35, as PCI Express and secure boot need it; pc for a BIOS machine with IDE disks.
- The UUID, MAC addresses, the order of the disks and of booting, CPUs and memory are those of the machine.
- EFI is the host's OVMF with an NVRAM of its own: that of VMware has another format. libvirt finds the one that has what is
  asked for. Without boot entries the firmware starts EFI/BOOT/BOOTX64.EFI.
- A TPM is an empty one: the secrets of the old one cannot be read.
"""
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ..messages import Failure
from .definition import Definition, Network
from .domain_storage import Copy, Storage, has_ide_disks
from .guests import Family, family_of, has_virtio, libosinfo_of

_LIBOSINFO = "http://libosinfo.org/xmlns/libvirt/domain/1.0"


class Drivers(enum.Enum):
    """Which devices the guest gets."""

    AUTO = "auto"  # VIRTIO for a Linux or FreeBSD that has the drivers; else EMULATED
    VIRTIO = "virtio"
    EMULATED = "emulated"  # those for which systems bring drivers


@dataclass(frozen=True)
class Domain:
    xml: str
    notes: tuple[str, ...]  # what is not as it was, for people


def domain_of(definition: Definition, copies: Mapping[str, Copy], drivers: Drivers = Drivers.AUTO,
              networks: Mapping[str, str] | None = None, default_network: str = "network:default") -> Domain:
    """copies: of the disks, by their names (device keys). A disk without one is left out, and that is noted. Raises Failure.

    networks: name of a network of VMware -> "network:NAME" of libvirt or "bridge:NAME" of the host; default_network: of the
    others.
    """
    family = family_of(definition.guest)
    virtio = drivers == Drivers.VIRTIO or drivers == Drivers.AUTO and has_virtio(definition.guest)
    pc = has_ide_disks(definition, copies) and not definition.efi
    domain = Element("domain", type="kvm")
    SubElement(domain, "name").text = _line(definition.name)
    SubElement(domain, "uuid").text = definition.uuid
    _add_metadata(domain, definition)
    SubElement(domain, "memory", unit="KiB").text = str(definition.memory >> 10)
    SubElement(domain, "vcpu").text = str(definition.cpus)
    _add_os(domain, definition, "pc" if pc else "q35")
    _add_features(domain, definition, family)
    _add_cpu(domain, definition)
    _add_clock(domain, family)
    devices = SubElement(domain, "devices")
    storage = Storage(definition, copies, virtio, pc)
    cards = {one.name: _network(one, virtio, (networks or {}).get(one.network, default_network)) for one in definition.networks}
    for element in (*storage.elements.values(), *storage.controllers(), *cards.values()):
        devices.append(element)
    _add_boot_order(definition, {**storage.elements, **cards})
    _add_others(devices, definition, virtio)
    ElementTree.indent(domain)
    return Domain(_text(domain), tuple(_notes(definition, copies, family)))


def _text(domain: Element) -> str:
    text = ElementTree.tostring(domain, encoding="unicode") + "\n"
    try:
        ElementTree.fromstring(text)
    except ElementTree.ParseError as e:
        raise Failure(f"a name or a path has a character that XML cannot have: {e}") from None
    return text


def _add_metadata(domain: Element, definition: Definition) -> None:
    if definition.annotation.strip():
        SubElement(domain, "description").text = _printable(definition.annotation)
    identifier = libosinfo_of(definition.guest)
    if identifier:
        ElementTree.register_namespace("libosinfo", _LIBOSINFO)
        info = SubElement(SubElement(domain, "metadata"), f"{{{_LIBOSINFO}}}libosinfo")
        SubElement(info, f"{{{_LIBOSINFO}}}os", id=identifier)


def _add_os(domain: Element, definition: Definition, machine: str) -> None:
    os = SubElement(domain, "os", {"firmware": "efi"} if definition.efi else {})
    SubElement(os, "type", arch="x86_64", machine=machine).text = "hvm"
    if definition.efi:
        wanted = "yes" if definition.secure_boot else "no"
        firmware = SubElement(os, "firmware")
        SubElement(firmware, "feature", enabled=wanted, name="enrolled-keys")
        SubElement(firmware, "feature", enabled=wanted, name="secure-boot")
        if definition.secure_boot:
            SubElement(os, "loader", secure="yes")


def _add_features(domain: Element, definition: Definition, family: Family) -> None:
    features = SubElement(domain, "features")
    SubElement(features, "acpi")
    SubElement(features, "apic")
    if family == Family.WINDOWS:
        hyperv = SubElement(features, "hyperv")
        SubElement(hyperv, "relaxed", state="on")
        SubElement(hyperv, "vapic", state="on")
        SubElement(hyperv, "spinlocks", state="on", retries="8191")
    if definition.efi and definition.secure_boot:
        SubElement(features, "smm", state="on")


def _add_cpu(domain: Element, definition: Definition) -> None:
    cpu = SubElement(domain, "cpu", mode="host-model")
    cores = definition.cores_per_socket
    if cores > 0 and definition.cpus % cores == 0:
        SubElement(cpu, "topology", sockets=str(definition.cpus // cores), cores=str(cores), threads="1")


def _add_clock(domain: Element, family: Family) -> None:
    """Windows takes the hardware's clock for local time."""
    clock = SubElement(domain, "clock", offset="localtime" if family == Family.WINDOWS else "utc")
    SubElement(clock, "timer", name="rtc", tickpolicy="catchup")
    SubElement(clock, "timer", name="pit", tickpolicy="delay")
    SubElement(clock, "timer", name="hpet", present="no")
    if family == Family.WINDOWS:
        SubElement(clock, "timer", name="hypervclock", present="yes")


def _network(card: Network, virtio: bool, to: str) -> Element:
    kind, _, name = to.partition(":")
    element = Element("interface", type=kind)
    if card.mac:
        SubElement(element, "mac", address=card.mac)
    SubElement(element, "source", {kind: name})
    emulated = {"pcnet32": "pcnet", "vmxnet3": "e1000e", "e1000e": "e1000e", "sriov": "e1000e"}.get(card.model, "e1000")
    SubElement(element, "model", type="virtio" if virtio else emulated)
    if not card.connected:
        SubElement(element, "link", state="down")
    return element


def _add_boot_order(definition: Definition, elements: Mapping[str, Element]) -> None:
    """As the machine has it, and after that the disks: vSphere does the same with those that its order does not name."""
    first_cd = [cd.name for cd in definition.cds][:1]
    names = [name for word in definition.boot_order for name in (first_cd if word == "cd" else word.split()[1:])]
    names += [disk.name for disk in definition.disks]
    for order, name in enumerate((name for name in dict.fromkeys(names) if name in elements), 1):
        SubElement(elements[name], "boot", order=str(order))


def _add_others(devices: Element, definition: Definition, virtio: bool) -> None:
    if definition.tpm:
        tpm = SubElement(devices, "tpm", model="tpm-crb" if definition.efi else "tpm-tis")
        SubElement(tpm, "backend", type="emulator", version="2.0")
    SubElement(devices, "input", type="tablet", bus="usb")
    SubElement(devices, "graphics", type="vnc", port="-1")
    SubElement(SubElement(devices, "video"), "model", type="virtio" if virtio else "vga")
    SubElement(devices, "console", type="pty")
    channel = SubElement(devices, "channel", type="unix")  # of QEMU's guest agent, if the guest has one
    SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    if virtio:
        SubElement(SubElement(devices, "rng", model="virtio"), "backend", model="random").text = "/dev/urandom"
    else:
        SubElement(devices, "memballoon", model="none")


def _notes(definition: Definition, copies: Mapping[str, Copy], family: Family) -> list[str]:
    notes = [f"the disk {disk.name} ({disk.label}) has no copy and is left out" for disk in definition.disks
             if disk.name not in copies]
    if definition.tpm:
        notes.append("the TPM is a new one: what the guest has sealed by the old one, as BitLocker does, needs its "
                     "recovery key")
    if definition.efi:
        notes.append("the EFI variables are new ones: boot entries that the guest had made are not there")
    notes += [f"{cd.label}: the medium {cd.iso} stays in vSphere, the drive is empty" for cd in definition.cds if cd.iso]
    notes += [f"{card.label}: is on a device of the host in vSphere (SR-IOV), and here it is not"
              for card in definition.networks if card.model == "sriov"]
    notes += [f"{one.label or one.type} ({one.type}) has no counterpart and is left out" for one in definition.other_devices]
    if family == Family.OTHER:
        notes.append(f"what its guest is ({definition.guest.id or 'not told'}) is not known; look at its devices")
    return notes


def _line(text: str) -> str:
    """libvirt's names have no slash."""
    return _printable(text).replace("%2f", "-").replace("/", "-").replace("\n", " ").strip()


def _printable(text: str) -> str:
    """XML 1.0 has no other control characters."""
    return "".join(c for c in text if c in "\t\n" or c >= " " and c not in "\ufffe\uffff" and not "\ud800" <= c <= "\udfff")
