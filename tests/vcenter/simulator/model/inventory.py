# SPDX-License-Identifier: BSD-3-Clause
"""All managed objects by their references, paths, UUIDs and files."""

import itertools
import os
import re
import threading

from simulator.model.disk import Disk
from simulator.model.files import small_files
from simulator.model.machine import VirtualMachine
from simulator.model.service_instance import ServiceInstance
from simulator.model.snapshot_counts import SnapshotCounts
from simulator.model.objects import Datacenter, Datastore, Folder, HostSystem, ServiceObject, SessionManager


def split_path(path):
    """The names in an inventory path. In names %2f, %5c and %25 stay encoded."""
    return [re.sub("%[0-9A-F]{2}", lambda found: found.group().lower(), name)
            for name in path.split("/") if name]


class Inventory:
    def __init__(self, scratch, datastore="datastore1", esxi=False):
        """esxi: the managed objects of the service have the references of an ESXi host."""
        self.scratch, self.datastore_name = scratch, datastore
        self.objects = {}
        self.counts = SnapshotCounts()
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()  # protects objects and numbers
        self.esxi = esxi
        root, sessions, search, collector = (
            ("ha-folder-root", "ha-sessionmgr", "ha-searchindex", "ha-property-collector") if esxi else
            ("group-d1", "SessionManager", "SearchIndex", "propertyCollector"))
        self.root = self.add(Folder(root, "ha-folder-root" if esxi else "Datacenters", None))
        self.session_manager = self.add(SessionManager(sessions))
        self.service = {"rootFolder": self.root, "sessionManager": self.session_manager}
        self.add(ServiceInstance(self))
        for field, kind, moref in (("searchIndex", "SearchIndex", search),
                                   ("propertyCollector", "PropertyCollector", collector),
                                   ("viewManager", "ViewManager", "ViewManager")):
            self.service[field] = self.add(ServiceObject(kind, moref))

    def new_moref(self, prefix):
        with self.lock:
            return f"{prefix}-{next(self.numbers) + 100}"

    def add(self, one):
        with self.lock:
            self.objects[one.moref] = one
        return one

    def drop(self, one):
        with self.lock:
            self.objects.pop(one.moref, None)

    def get(self, moref):
        with self.lock:
            return self.objects.get(moref)

    def machines(self):
        with self.lock:
            return [one for one in self.objects.values() if one.kind == "VirtualMachine"]

    # --- building

    def add_machine(self, path, moref, disks, cbt, datastore=None, directory=None):
        """path: such as /folder/DC0/vm/folder/web1, where the part before "vm" is the datacenter. By default
        the files are on the datastore of the inventory, in a directory with the name of the VM."""
        names = split_path(path)
        if "vm" not in names[1:-1]:
            raise ValueError(f"--vm {path}: needs the form /DATACENTER/vm/NAME")
        at = names.index("vm", 1)
        center = self._datacenter(names[:at])
        folder = center.vm_folder
        for name in names[at + 1:-1]:
            folder = folder.child(name) or self._append(folder, Folder(
                self.new_moref("group-v"), name, folder))
        vm = VirtualMachine(moref, names[-1], folder,
                            self._datastore(center, datastore or self.datastore_name), cbt, directory)
        for key, raw in disks:
            self.add_disk(vm, key, raw)
        vm.counts = self.counts
        vm.stun()
        self._append(folder, vm)
        return vm

    def add_disk(self, vm, key, raw):
        """With a VM that runs, CBT of the disk begins with the next stun."""
        with vm.lock:
            stem = vm.name + (f"_{len(vm.disks)}" if vm.disks else "")
            vm.disks.append(Disk(key, raw, f"{vm.directory}/{stem}.vmdk", self.scratch))

    def _datacenter(self, names):
        folder = self.root
        for name in names[:-1]:
            folder = folder.child(name) or self._append(folder, Folder(
                self.new_moref("group-d"), name, folder))
        center = folder.child(names[-1])
        if center is None:
            center = self._append(folder, Datacenter(
                self.new_moref("datacenter"), names[-1], folder, self.new_moref("group-v"),
                self.new_moref("group-s")))
            self.add(center.vm_folder)
            self.add(center.datastore_folder)
            self._datastore(center, self.datastore_name)
        return center

    def _datastore(self, center, name):
        folder = center.datastore_folder
        return folder.child(name) or self._append(folder, Datastore(
            self.new_moref("datastore"), name, folder))

    def _append(self, folder, one):
        folder.children.append(one)
        return self.add(one)

    def add_hosts(self, name, count):
        """The VMs run on them in turn: host-9, host-10, ... They have one address."""
        hosts = [self.add(HostSystem(f"host-{9 + number}", name, self.root)) for number in range(count)]
        for number, vm in enumerate(self.machines()):
            vm.host = hosts[number % count]

    # --- finding

    def by_path(self, path):
        one = self.root
        for name in split_path(path):
            one = one.child(name) if hasattr(one, "child") else None
            if one is None:
                return None
        return one

    def by_uuid(self, uuid, instance):
        for vm in self.machines():
            if uuid.lower() == (vm.instance_uuid if instance else vm.uuid):
                return vm
        return None

    def file(self, center_path, datastore, path):
        """The (vm, disk) that a file on a datastore belongs to, or None. path: of a VMDK, with -flat or
        -000001 in its name. center_path: None for any datacenter, as an ESXi host has none."""
        stem = re.sub(r"(-\d{6})?(-flat|-delta)?\.vmdk$", "", path)
        for vm in self._machines_on(center_path, datastore):
            for disk in vm.disks:
                if os.path.normpath(stem) == disk.base_name.removesuffix(".vmdk"):
                    return vm, disk
        return None

    def small_file(self, center_path, datastore, path):
        """The content of a VM's .vmx and so on, or None."""
        for vm in self._machines_on(center_path, datastore):
            found = small_files(vm).get(os.path.normpath(path))
            if found:
                return found[1]
        return None

    def _machines_on(self, center_path, datastore):
        for vm in self.machines():
            if vm.datastore.name == datastore and (
                    center_path is None or vm.datacenter().path() == center_path.strip("/")):
                yield vm
