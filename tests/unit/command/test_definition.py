# SPDX-License-Identifier: BSD-3-Clause
"""What machines of vSphere are made of, and the libvirt domains that are made of that.

virt-xml-validate and virsh look at the domains, if Debian's libvirt-clients and libvirt-daemon are installed.
"""
import dataclasses
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from xml.etree import ElementTree

from nbdkit_replicate.definition.definition import Definition, Guest, from_json, to_json
from nbdkit_replicate.definition.domain_storage import Export, Image
from nbdkit_replicate.definition.guests import Family, family_of, has_virtio, libosinfo_of
from nbdkit_replicate.definition.libvirt import Drivers, domain_of
from nbdkit_replicate.messages import Failure
from nbdkit_replicate.vcenter.hardware import CONTROLLERS, NETWORKS, definition_of

import machine_configs

try:
    from pyVmomi import vim
except ImportError:
    vim = None


def definition(config, tools="guestToolsRunning"):
    return from_json(json.loads(json.dumps(definition_of(config, tools))))


def copies(of):
    return {disk.name: Image(f"/images/{of.name}/{disk.name}.qcow2") for disk in of.disks if not disk.raw_device}


@unittest.skipIf(vim is None, "python3-pyvmomi is not installed")
class Definitions(unittest.TestCase):
    def test_a_linux_server(self):
        found = definition(machine_configs.linux_bios())
        self.assertEqual((found.name, found.cpus, found.cores_per_socket, found.memory), ("db1", 8, 4, 12 << 30))
        self.assertEqual((found.firmware, found.secure_boot, found.tpm), ("bios", False, False))
        self.assertEqual(found.guest, Guest("ubuntu64Guest", "Ubuntu Linux (64-bit)", {
            "bitness": "64", "distroName": "Ubuntu", "distroVersion": "22.04", "familyName": "Linux",
            "prettyName": "Ubuntu 22.04.3 LTS"}))
        disks = [(one.name, one.bus, one.controller, one.controller_number, one.unit, one.size) for one in found.disks]
        self.assertEqual(disks, [("2000", "scsi", "pvscsi", 0, 0, 40 << 30), ("2001", "scsi", "pvscsi", 0, 1, 512),
                                 ("2017", "scsi", "lsilogic", 1, 8, 1 << 40)])
        self.assertEqual(found.disks[0].file, "[ds one] db1/db1.vmdk")  # not that of the snapshot
        self.assertEqual([(one.raw_device, one.thin, one.mode) for one in found.disks],
                         [(False, True, "persistent"), (False, False, "independent_persistent"), (True, False, "persistent")])
        self.assertEqual([(one.name, one.model, one.mac, one.network, one.connected) for one in found.networks],
                         [("4000", "vmxnet3", "00:50:56:9a:00:01", "VM Network", True),
                          ("4001", "sriov", "00:50:56:9a:00:02", "dvportgroup-77", False)])
        self.assertEqual(found.boot_order, ("network 4000", "disk 2001", "cd"))
        self.assertEqual([(one.bus, one.controller_number, one.unit, one.iso) for one in found.cds],
                         [("ide", 1, 0, "[iso] debian.iso")])
        self.assertEqual([(one.type, one.label) for one in found.other_devices],
                         [("VirtualPCIPassthrough", "PCI device 0")])
        self.assertEqual((found.tools.running, found.tools.version), (True, 12352))
        self.assertEqual(found.vmware["vmx"], "[ds one] db1/db1.vmx")

    def test_a_windows_server(self):
        found = definition(machine_configs.windows_efi(), "guestToolsNotRunning")
        self.assertEqual((found.efi, found.secure_boot, found.tpm, found.tools.running), (True, True, True, False))
        self.assertEqual([(one.bus, one.controller) for one in found.disks],
                         [("scsi", "lsisas"), ("nvme", "nvme"), ("sata", "ahci")])
        self.assertEqual((found.boot_order, found.guest.details, found.other_devices), ((), {}, ()))

    def test_json_and_back(self):
        for config in machine_configs.every():
            made = definition(config)
            self.assertEqual(from_json(json.loads(to_json(made))), made)

    def test_what_is_not_set(self):
        """A machine of which the API tells hardly anything."""
        found = definition(machine_configs.bare(), None)
        self.assertEqual((found.firmware, found.cores_per_socket), ("bios", 1))
        self.assertEqual((found.disks[0].size, found.disks[0].bus), (1 << 20, ""))


class Reading(unittest.TestCase):
    def test_another_format_is_refused(self):
        with self.assertRaisesRegex(Failure, "format 2; this version knows 1"):
            from_json({"format": 2})

    def test_what_is_no_definition(self):
        with self.assertRaisesRegex(Failure, "no definition"):
            from_json({"format": 1, "name": "x"})
        for wrong in ([], {**json.loads(to_json(Definition("a", "u", 1, 1 << 20))), "guest": "linux"}):
            with self.assertRaisesRegex(Failure, "no definition"):
                from_json(wrong)

    def test_fields_of_later_versions_are_ignored(self):
        made = Definition("a", "u", 1, 1 << 20)
        self.assertEqual(from_json({**json.loads(to_json(made)), "later": 1}), made)


class Manual(unittest.TestCase):
    """nbdkit-replicate.definition(5)."""

    def setUp(self):
        with open(os.path.join(os.environ["SOURCE"], "man/nbdkit-replicate.definition.pod"), encoding="utf-8") as file:
            self.page = file.read()

    def test_its_example_has_all_fields(self):
        values = json.loads(re.search(r"^ \{\n.*?^ \}\n", self.page, re.M | re.S)[0])
        made = from_json(values)
        self.assertEqual(json.loads(to_json(made)), values)
        self.assertIn("/i/2000", domain_of(made, {"2000": Image("/i/2000")}).xml)

    def test_each_field_is_explained(self):
        items = set(re.findall(r"^=item C<(\w+)>$", self.page, re.M))
        self.assertEqual(items, {one.name for one in dataclasses.fields(Definition)})

    def test_all_models(self):
        for model in [*NETWORKS.values(), *(word for pair in CONTROLLERS.values() for word in pair)]:
            self.assertIn(f"C<{model}>", self.page)


class Guests(unittest.TestCase):
    def test_identifiers(self):
        for identifier, family, virtio, osinfo in (
                ("debian12_64Guest", "linux", True, "http://debian.org/debian/12"),
                ("debian6Guest", "linux", False, "http://debian.org/debian/6"),
                ("rhel9_64Guest", "linux", True, "http://redhat.com/rhel/9-unknown"), ("rhel5_64Guest", "linux", False, ""),
                ("centos64Guest", "linux", False, ""), ("centos7_64Guest", "linux", True, ""),
                ("ubuntu64Guest", "linux", True, ""), ("otherLinux64Guest", "linux", False, ""),
                ("other26xLinuxGuest", "linux", False, ""), ("other5xLinux64Guest", "linux", True, ""),
                ("sles10_64Guest", "linux", False, ""), ("sles15_64Guest", "linux", True, ""),
                ("freebsd64Guest", "freebsd", False, ""), ("freebsd13_64Guest", "freebsd", True, ""),
                ("windows9_64Guest", "windows", False, "http://microsoft.com/win/10"),
                ("windows9Server64Guest", "windows", False, "http://microsoft.com/win/2k16"),
                ("windows2019srvNext_64Guest", "windows", False, "http://microsoft.com/win/2k22"),
                ("winXPProGuest", "windows", False, "http://microsoft.com/win/xp"),
                ("solaris11_64Guest", "other", False, ""), ("", "other", False, "")):
            with self.subTest(identifier):
                guest = Guest(identifier)
                self.assertEqual((family_of(guest).value, has_virtio(guest), libosinfo_of(guest)), (family, virtio, osinfo))

    def test_what_the_tools_have_told_counts(self):
        for name, version, expected in (
                ("Ubuntu", "22.04", "http://ubuntu.com/ubuntu/22.04"),
                ("Debian GNU/Linux", "12", "http://debian.org/debian/12"),
                ("Red Hat Enterprise Linux", "8.6 (Ootpa)", "http://redhat.com/rhel/8.6"),
                ("AlmaLinux", "9.2", "http://almalinux.org/almalinux/9"), ("Ubuntu", "", ""), ("Gentoo", "2.8", "")):
            guest = Guest("otherLinux64Guest", details={"distroName": name, "distroVersion": version, "familyName": "Linux"})
            self.assertEqual(libosinfo_of(guest), expected)
            self.assertTrue(has_virtio(guest))
        self.assertEqual(family_of(Guest("otherGuest", details={"familyName": "Windows"})), Family.WINDOWS)


class Domains(unittest.TestCase):
    def domain(self, of, these=None, **options):
        made = domain_of(of, copies(of) if these is None else these, **options)
        return ElementTree.fromstring(made.xml), made.notes

    def disks(self, domain):
        """[(target, bus, controller/bus/target/unit or "", source)]"""
        found = []
        for disk in domain.iter("disk"):
            address = disk.find("address")
            place = "" if address is None else "/".join(
                address.get(key) for key in ("controller", "bus", "target", "unit"))
            source = disk.find("source")
            found.append((disk.find("target").get("dev"), disk.find("target").get("bus"), place,
                          next(iter(source.attrib.values())) if source is not None else ""))
        return found

    def test_linux_with_virtio(self):
        domain, notes = self.domain(machine_configs.LINUX)
        self.assertEqual(self.disks(domain), [
            ("sda", "scsi", "0/0/0/0", "/images/db1/2000.qcow2"), ("sdb", "scsi", "0/0/1/0", "/images/db1/2001.qcow2"),
            ("sdc", "sata", "0/0/0/0", "")])
        self.assertEqual([(one.get("type"), one.get("index"), one.get("model")) for one in domain.iter("controller")],
                         [("scsi", "0", "virtio-scsi"), ("sata", "0", None)])
        self.assertEqual([one.find("model").get("type") for one in domain.iter("interface")], ["virtio", "virtio"])
        self.assertEqual([one.find("mac").get("address") for one in domain.iter("interface")],
                         ["00:50:56:9a:00:01", "00:50:56:9a:00:02"])
        self.assertEqual([one.find("link") is not None for one in domain.iter("interface")], [False, True])
        self.assertEqual((domain.find("os/type").get("machine"), domain.find("os").get("firmware"), domain.find("os/loader")),
                         ("q35", None, None))
        self.assertEqual(domain.find("cpu/topology").attrib, {"sockets": "2", "cores": "4", "threads": "1"})
        self.assertEqual((domain.findtext("memory"), domain.findtext("vcpu"), domain.findtext("uuid")),
                         (str(12 << 20), "8", machine_configs.LINUX.uuid))
        self.assertEqual(domain.find("clock").get("offset"), "utc")
        self.assertEqual(domain.findtext("description"), "asks <for> & gets")
        self.assertEqual(domain.find(".//{*}os[@id]").get("id"), "http://ubuntu.com/ubuntu/22.04")
        for told in ("2017 .*no copy", "PCI device 0", "debian.iso stays", "SR-IOV"):
            self.assertTrue(any(re.search(told, note) for note in notes), told)

    def test_the_order_of_booting(self):
        domain, _ = self.domain(machine_configs.LINUX)
        found = {one.find("mac").get("address") if one.tag == "interface" else one.find("target").get("dev"):
                 one.find("boot").get("order") for one in domain.find("devices") if one.find("boot") is not None}
        self.assertEqual(found, {"00:50:56:9a:00:01": "1", "sdb": "2", "sdc": "3", "sda": "4"})

    def test_windows_without_virtio(self):
        domain, notes = self.domain(machine_configs.WINDOWS)
        self.assertEqual(self.disks(domain), [
            ("sda", "scsi", "0/0/0/0", "/images/win/2000.qcow2"), ("sdb", "sata", "0/0/0/0", "/images/win/31000.qcow2"),
            ("sdc", "sata", "0/0/0/1", "/images/win/16000.qcow2"), ("sdd", "sata", "0/0/0/2", "")])
        self.assertEqual([one.get("model") for one in domain.iter("controller") if one.get("type") == "scsi"], ["lsisas1068"])
        self.assertEqual([one.find("model").get("type") for one in domain.iter("interface")], ["e1000e", "e1000"])
        self.assertEqual((domain.find("os").get("firmware"), domain.find("os/loader").get("secure")), ("efi", "yes"))
        self.assertEqual(domain.find("features/smm").get("state"), "on")
        self.assertEqual([one.attrib for one in domain.iter("feature")],
                         [{"enabled": "yes", "name": "enrolled-keys"}, {"enabled": "yes", "name": "secure-boot"}])
        self.assertEqual(domain.find("devices/tpm/backend").get("version"), "2.0")
        self.assertEqual(domain.find("clock").get("offset"), "localtime")
        self.assertIsNotNone(domain.find("features/hyperv"))
        self.assertTrue(any("recovery key" in note for note in notes))

    def test_windows_with_virtio(self):
        """As after virt-v2v, or with drivers that somebody has put in."""
        domain, _ = self.domain(machine_configs.WINDOWS, drivers=Drivers.VIRTIO)
        self.assertEqual([one[:2] for one in self.disks(domain)],
                         [("sda", "scsi"), ("vda", "virtio"), ("sdb", "sata"), ("sdc", "sata")])

    def test_controllers_have_no_gaps(self):
        """libvirt would fill them."""
        domain, _ = self.domain(machine_configs.BSD)
        self.assertEqual([one.get("index") for one in domain.iter("controller")], ["0", "1"])
        self.assertEqual([one[2] for one in self.disks(domain)], ["1/0/15/0", "0/0/0/0"])

    def test_efi_without_secure_boot(self):
        """The firmware must not be one that refuses what is not signed."""
        domain, _ = self.domain(dataclasses.replace(machine_configs.WINDOWS, secure_boot=False))
        self.assertEqual({one.get("enabled") for one in domain.iter("feature")}, {"no"})
        self.assertIsNone(domain.find("features/smm"))
        self.assertIsNone(domain.find("os/loader"))

    def test_ide(self):
        domain, _ = self.domain(machine_configs.OLD)
        self.assertEqual(domain.find("os/type").get("machine"), "pc")
        self.assertEqual(self.disks(domain),
                         [("hda", "ide", "0/0/0/0", "/images/old/3000.qcow2"), ("hdb", "ide", "0/1/0/1", "")])
        domain, _ = self.domain(dataclasses.replace(machine_configs.OLD, firmware="efi"))
        self.assertEqual(domain.find("os/type").get("machine"), "q35")
        self.assertEqual([one[1] for one in self.disks(domain)], ["sata", "sata"])

    def test_many_disks_on_sata(self):
        of = dataclasses.replace(machine_configs.WINDOWS, disks=tuple(
            dataclasses.replace(machine_configs.WINDOWS.disks[2], name=str(16000 + n), unit=n) for n in range(28)), cds=())
        found = self.disks(self.domain(of)[0])
        self.assertEqual([found[n][0::2] for n in (0, 5, 6, 26, 27)], [
            ("sda", "0/0/0/0"), ("sdf", "0/0/0/5"), ("sdg", "1/0/0/0"), ("sdaa", "4/0/0/2"), ("sdab", "4/0/0/3")])

    def test_cores_that_do_not_fit(self):
        domain, _ = self.domain(dataclasses.replace(machine_configs.LINUX, cpus=3, cores_per_socket=2))
        self.assertIsNone(domain.find("cpu/topology"))

    def test_copies_that_are_no_files(self):
        these = {"2000": Image("/dev/vg/db1", "raw"), "2001": Export("/run/x.sock", "2001")}
        domain, _ = self.domain(machine_configs.LINUX, these)
        one, other = list(domain.iter("disk"))[:2]
        self.assertEqual((one.get("type"), one.find("source").get("dev")), ("block", "/dev/vg/db1"))
        self.assertEqual(one.find("driver").get("type"), "raw")
        self.assertEqual((other.get("type"), other.find("source").get("name"), other.find("source/host").get("socket")),
                         ("network", "2001", "/run/x.sock"))

    def test_networks(self):
        domain, _ = self.domain(machine_configs.LINUX, networks={"VM Network": "bridge:br0"})
        self.assertEqual([(one.get("type"), one.find("source").attrib) for one in domain.iter("interface")],
                         [("bridge", {"bridge": "br0"}), ("network", {"network": "default"})])

    def test_names_and_notes_that_xml_and_libvirt_do_not_have(self):
        of = dataclasses.replace(machine_configs.LINUX, name="a%2fb/c\x01\x1b", annotation="\x00\x0btext\ud800")
        domain, _ = self.domain(of, {"2000": Image("/a")})
        self.assertEqual((domain.findtext("name"), domain.findtext("description")), ("a-b-c", "text"))
        with self.assertRaisesRegex(Failure, "a character that XML cannot have"):
            self.domain(of, {"2000": Image("/a\x01b")})


@unittest.skipIf(shutil.which("virt-xml-validate") is None or shutil.which("virsh") is None, "libvirt is not installed")
class Libvirt(unittest.TestCase):
    """libvirt's schema, and its parser."""

    def test_every_machine_with_both_kinds_of_drivers(self):
        for of in (machine_configs.LINUX, machine_configs.WINDOWS, machine_configs.OLD, machine_configs.BSD,
                   dataclasses.replace(machine_configs.WINDOWS, secure_boot=False),
                   dataclasses.replace(machine_configs.LINUX, name="a%2fb", annotation="\x1b&")):
            for drivers in (Drivers.VIRTIO, Drivers.EMULATED):
                with self.subTest(name=of.name, drivers=drivers):
                    self.accepted(domain_of(of, copies(of), drivers, {"VM Network": "bridge:br0"}).xml)

    def test_copies_of_all_kinds(self):
        for copy in (Image("/dev/vg/lv", "raw"), Export("/run/a.sock", "2000"), Export("/run/a.sock")):
            self.accepted(domain_of(machine_configs.LINUX, {"2000": copy}).xml)

    def accepted(self, xml):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "domain.xml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(xml)
            self.run_tool("virt-xml-validate", path, "domain")
            self.assertIn("defined from", self.run_tool("virsh", "-c", "test:///default", "define", "--validate", path))

    def run_tool(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout


class Database(unittest.TestCase):
    """libosinfo's, if Debian's osinfo-db is installed."""

    def test_identifiers_are_in_it(self):
        files = glob.glob("/usr/share/osinfo/os/*/*.xml")
        if not files:
            self.skipTest("osinfo-db is not installed")
        known = set()
        for path in files:
            with open(path, encoding="utf-8") as file:
                known |= set(re.findall(r'<os id="([^"]+)"', file.read()))
        for identifier in ("debian11_64Guest", "rhel9_64Guest", "rhel6Guest", "windows9_64Guest", "windows9Server64Guest",
                           "windows2019srv_64Guest", "windows2019srvNext_64Guest", "windows11_64Guest", "winXPProGuest",
                           "winNetStandard64Guest", "winLonghornGuest", "windows7Server64Guest", "windows8Server64Guest"):
            self.assertIn(libosinfo_of(Guest(identifier)), known)


if __name__ == "__main__":
    unittest.main()
