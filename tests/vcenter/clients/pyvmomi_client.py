#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Looks at a vCenter with VMware's own client for Python, pyVmomi.

  pyvmomi_client.py HOST:PORT CAFILE PATH            what it finds of the VM at an inventory path, and
                                                     what it is refused
  pyvmomi_client.py HOST:PORT CAFILE PATH CHANGE-ID  what has changed on the first disk since then

It prints the same lines as govmomi/main.go. Whatever it cannot parse is an exception.
"""

import contextlib
import ssl
import sys
import time

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl


def say(*words):
    print(*words, flush=True)


@contextlib.contextmanager
def refused(kind, tell=lambda fault: ""):
    """The call within fails with this fault."""
    try:
        yield
    except kind as fault:
        say("fault", type(fault).__name__.rpartition(".")[2], tell(fault))
        return
    raise AssertionError(f"no {kind.__name__}")


def connect(password="s3cret"):
    host, _, port = sys.argv[1].rpartition(":")
    return SmartConnect(host=host, port=int(port), user="administrator@vsphere.local", pwd=password,
                        sslContext=ssl.create_default_context(cafile=sys.argv[2]))


def disks_of(config):
    return [one for one in config.hardware.device if isinstance(one, vim.vm.device.VirtualDisk)]


def areas(vm, snapshot, disk, change_id):
    at = 0
    while at < disk.capacityInBytes:
        page = vm.QueryChangedDiskAreas(snapshot, disk.key, at, change_id)
        assert page.startOffset == at
        for area in page.changedArea:
            say("area", area.start, area.length)
        at += page.length


def find(content, path):
    vm = content.searchIndex.FindByInventoryPath(path)
    assert isinstance(vm, vim.VirtualMachine)
    say("vm", vm._moId, vm.name, vm.config.uuid, vm.config.instanceUuid, vm.runtime.powerState)
    say("found", content.searchIndex.FindByUuid(None, vm.config.uuid, True, False)._moId,
        content.searchIndex.FindByUuid(None, vm.config.instanceUuid, True, True)._moId)
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    say("all", *sorted(one.name for one in view.view))
    view.Destroy()
    one, names = vm, []
    while one != content.rootFolder:
        names.insert(0, one.name)
        one = one.parent
    say("path", "/" + "/".join(names))
    for disk in disks_of(vm.config):
        say("disk", disk.key, disk.capacityInBytes, disk.deviceInfo.label, disk.backing.fileName,
            disk.backing.datastore.name)
    return vm


def wait_for(task):
    """Returns the result of a task, or raises its error. (The simulator has no WaitForUpdatesEx.)"""
    while task.info.state not in ("success", "error"):
        time.sleep(0.01)
    if task.info.error:
        raise task.info.error
    return task.info.result


def take_snapshot(vm, description=""):
    snapshot = wait_for(vm.CreateSnapshot_Task("by a client", description, False, False))
    assert isinstance(snapshot, vim.vm.Snapshot)
    return snapshot


def look(content, vm):
    say("tracking", vm.capability.changeTrackingSupported, vm.config.changeTrackingEnabled)
    snapshot = take_snapshot(vm, "<&>\"' é")
    tree = vm.snapshot.rootSnapshotList
    say("tree", len(tree), tree[0].name, tree[0].description, tree[0].snapshot == snapshot,
        vm.snapshot.currentSnapshot == snapshot)
    disk = disks_of(snapshot.config)[0]
    say("checkpoint", disk.backing.changeId)
    areas(vm, snapshot, disk, "*")
    with refused(vmodl.fault.InvalidArgument, lambda fault: fault.invalidProperty):
        vm.QueryChangedDiskAreas(snapshot, disk.key, disk.capacityInBytes, "*")
    with refused(vim.fault.FileFault, lambda fault: fault.faultMessage[0].key):
        vm.QueryChangedDiskAreas(snapshot, disk.key, 0, "52 00/7")
    wait_for(snapshot.RemoveSnapshot_Task(False, True))
    say("tree", vm.snapshot)
    with refused(vmodl.fault.ManagedObjectNotFound, lambda fault: fault.obj == snapshot):
        vm.QueryChangedDiskAreas(snapshot, disk.key, 0, "*")
    with refused(vmodl.fault.ManagedObjectNotFound, lambda fault: fault.obj == snapshot):
        snapshot.RemoveSnapshot_Task(False)
    # The test has ordered a task that fails.
    with refused(vim.fault.ApplicationQuiesceFault):
        take_snapshot(vm)
    say("session", content.sessionManager.currentSession.userName)


def main():
    if len(sys.argv) == 4:
        with refused(vim.fault.InvalidLogin):
            connect("wrong")
    service = connect()
    content = service.RetrieveContent()
    say("server", content.about.apiType, content.about.apiVersion)
    vm = find(content, sys.argv[3])
    if len(sys.argv) == 4:
        look(content, vm)
    else:
        snapshot = take_snapshot(vm)
        areas(vm, snapshot, disks_of(snapshot.config)[0], sys.argv[4])
        wait_for(snapshot.RemoveSnapshot_Task(False))
    Disconnect(service)
    with refused(vim.fault.NotAuthenticated):
        content.searchIndex.FindByInventoryPath(sys.argv[3])


main()
