# SPDX-License-Identifier: BSD-3-Clause
"""Snapshots and tasks over HTTPS."""

import os
import tempfile
import unittest

from unit.case import BASIC, K64, VM, Case
from unit.client import FaultSeen, Simulator, wait_for


class Snapshots(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()

    def test_snapshot_tree_and_file_names(self):
        names = {}
        for name in ("one", "two & <more>"):
            names[name] = self.sim.snapshot("vm-42", name)
        tree = self.sim.properties(*VM, "snapshot")["snapshot"]
        self.assertEqual(tree.findtext("currentSnapshot"), names["two & <more>"])
        self.assertEqual(tree.findtext("rootSnapshotList/name"), "one")
        self.assertEqual(tree.findtext("rootSnapshotList/childSnapshotList/name"), "two & <more>")

        def chain(kind, moref):
            found = []
            at = self.sim.disk(kind, moref).find("backing")
            while at is not None:
                found.append(at.findtext("fileName").removeprefix("[datastore1] web1/"))
                at = at.find("parent")
            return found
        self.assertEqual(chain(*VM), ["web1-000002.vmdk", "web1-000001.vmdk", "web1.vmdk"])
        self.assertEqual(chain("VirtualMachineSnapshot", names["one"]), ["web1.vmdk"])
        self.assertEqual(chain("VirtualMachineSnapshot", names["two & <more>"]),
                         ["web1-000001.vmdk", "web1.vmdk"])
        self.sim.remove(names["one"])
        self.assertEqual(chain("VirtualMachineSnapshot", names["two & <more>"]), ["web1.vmdk"])
        self.sim.task("RemoveAllSnapshots_Task", *VM)
        self.assertEqual(chain(*VM), ["web1.vmdk"])
        self.assertEqual(self.sim.control("state")["vms"]["vm-42"]["snapshots"], [])
        self.assertEqual(self.sim.properties(*VM, "snapshot"), {})

    def test_a_vm_runs_one_task_at_a_time(self):
        self.sim.control("pace", **{"task-ms": 3600000})
        create = ("CreateSnapshot_Task", *VM, "<name>x</name>")
        task = self.sim.call(*create).findtext("returnval")
        state = self.sim.properties("Task", task, "info.state")["info.state"].text
        self.assertIn(state, ("queued", "running"))
        self.fault("TaskInProgress", self.sim.call, *create)
        self.sim.control("pace", **{"task-ms": 20})  # also for the task that runs
        wait_for(lambda: self.sim.properties("Task", task, "info.state")["info.state"].text == "success")


class SeveralVms(unittest.TestCase):
    """Two VMs with the same name in two datacenters, one of them with two disks."""

    def test_each_has_its_own_disks_and_changes(self):
        with tempfile.TemporaryDirectory() as directory:
            images = [os.path.join(directory, f"{number}.img") for number in range(3)]
            for number, image in enumerate(images):
                with open(image, "wb") as file:
                    file.write(bytes([number + 1]) * K64 * (number + 1))
            sim = Simulator(directory, "--vm", "/DC0/vm/web1=vm-1", "--disk", f"2000={images[0]}",
                            "--disk", f"2001={images[1]}", "--vm", "/DC1/vm/web1=vm-2",
                            "--disk", f"2000={images[2]}", "--task-ms", "20")
            try:
                self.check(sim)
            finally:
                sim.close()

    def check(self, sim):
        sim.login()
        self.assertEqual(sim.request("GET", "/_test/write?offset=0&length=1&byte=9")[0], 400)  # vm= is missing
        snapshot = sim.snapshot("vm-1")
        sim.control("write", vm="vm-1", disk=2001, offset=0, length=1, byte=9)
        for key, blocks in ((2000, 1), (2001, 2)):
            self.assertEqual(sim.changes("vm-1", snapshot, "*", blocks * K64, key), [(0, blocks * K64)])
        for path, status, content in (("web1_1-flat.vmdk?dcPath=DC0", 200, bytes([2]) * 2 * K64),
                                      ("web1-flat.vmdk?dcPath=DC0", 200, bytes([1]) * K64),
                                      ("web1-flat.vmdk?dcPath=DC1", 500, b""),  # no snapshot
                                      ("web1_1-flat.vmdk?dcPath=DC1", 404, b"")):
            got = sim.request("GET", f"/folder/web1/{path}&dsName=datastore1", headers=BASIC)
            self.assertEqual((got[0], got[2]), (status, content), path)
        since = [sim.disk("VirtualMachineSnapshot", snapshot, key).findtext("backing/changeId")
                 for key in (2000, 2001)]
        self.assertNotEqual(since[0].partition("/")[0], since[1].partition("/")[0])
        sim.remove(snapshot)
        snapshot = sim.snapshot("vm-1")
        self.assertEqual(sim.changes("vm-1", snapshot, since[0], K64, 2000), [])
        self.assertEqual(sim.changes("vm-1", snapshot, since[1], 2 * K64, 2001), [(0, K64)])
        with self.assertRaises(FaultSeen):  # of the other disk
            sim.page("vm-1", snapshot, since[1], 0, 2000)


if __name__ == "__main__":
    unittest.main()
