# SPDX-License-Identifier: BSD-3-Clause
"""Snapshots and changed block tracking, over HTTPS."""

import os
import tempfile
import unittest

from unit.case import BASIC, K64, SIZE, VM, Case
from unit.client import FaultSeen, Simulator


class ChangeTracking(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()

    def change_id(self, snapshot):
        return self.sim.disk("VirtualMachineSnapshot", snapshot).findtext("backing/changeId")

    def test_allocated_in_pages_with_an_empty_one(self):
        snapshot = self.sim.snapshot("vm-42")
        pages = [self.sim.page("vm-42", snapshot, "*", at << 20) for at in (0, 16, 32, 48)]
        self.assertEqual(pages, [(16 << 20, [(2 * K64, 3 * K64)]), (16 << 20, []),
                                 (16 << 20, [(40 << 20, K64)]), (16 << 20, [])])
        self.assertIn("startOffset", self.fault("InvalidArgument", self.sim.page, "vm-42", snapshot,
                                                "*", SIZE))
        self.assertIn("deviceKey", self.fault("InvalidArgument", self.sim.page, "vm-42", snapshot,
                                              "*", 0, 2001))
        self.fault("InvalidArgument", self.sim.page, "vm-42", None, "*", 0)

    def test_since_is_exact_and_frozen(self):
        self.sim.control("write", offset=0, length=1, byte=7)  # before the first snapshot
        first = self.sim.snapshot("vm-42")
        since = self.change_id(first)
        self.assertRegex(since, r"^52( [0-9a-f]{2}){7}-[0-9a-f]{2}( [0-9a-f]{2}){7}/\d+$")
        self.assertEqual(self.sim.changes("vm-42", first, since, SIZE), [])
        self.sim.control("write", body=b"x" * 10, offset=K64 * 3 - 5)  # two blocks, and seen as such
        self.sim.control("unmap", offset=40 << 20, length=K64)
        self.assertEqual(self.sim.remove(first)[0], "success")
        self.sim.control("write", offset=K64 * 900, length=K64, byte=9)
        second = self.sim.snapshot("vm-42")
        self.sim.control("write", offset=K64 * 500, length=1, byte=1)  # later: not in the second
        self.assertEqual(self.sim.changes("vm-42", second, since, SIZE),
                         [(2 * K64, 2 * K64), (40 << 20, K64), (900 * K64, K64)])
        self.assertEqual(self.sim.changes("vm-42", second, "*", SIZE),
                         [(0, K64), (2 * K64, 3 * K64), (900 * K64, K64)])

    def test_foreign_change_ids(self):
        snapshot = self.sim.snapshot("vm-42")
        since = self.change_id(snapshot)
        for wrong in ("garbage", "53" + since[2:], since.partition("/")[0] + "/99", since + "x"):
            self.assertIn("cannotGetChanges", self.fault("FileFault", self.sim.page, "vm-42", snapshot,
                                                         wrong, 0))
        self.sim.remove(snapshot)
        self.sim.control("reset")
        snapshot = self.sim.snapshot("vm-42")
        self.assertNotEqual(self.change_id(snapshot).partition("/")[0], since.partition("/")[0])
        self.fault("FileFault", self.sim.page, "vm-42", snapshot, since, 0)
        self.sim.remove(snapshot)
        self.fault("ManagedObjectNotFound", self.sim.page, "vm-42", snapshot, "*", 0)

    def test_import_writes_what_differs(self):
        snapshot = self.sim.snapshot("vm-42")
        since = self.change_id(snapshot)
        other = os.path.join(self.directory, "other.img")
        with open(other, "wb") as file:
            file.truncate(SIZE)
            file.seek(3 * K64)
            file.write(b"a" * 2 * K64)
            file.seek(40 << 20)
            file.write(b"B" + b"b" * (K64 - 1))
        self.assertEqual(self.sim.control("import", file=other)["changed"], 2)
        with open(other, "rb") as one, open(self.disk, "rb") as two:
            self.assertEqual(one.read(), two.read())
        self.sim.remove(snapshot)
        snapshot = self.sim.snapshot("vm-42")
        self.assertEqual(self.sim.changes("vm-42", snapshot, since, SIZE),
                         [(2 * K64, K64), (40 << 20, K64)])
        self.assertEqual(self.sim.changes("vm-42", snapshot, "*", SIZE),
                         [(3 * K64, 2 * K64), (40 << 20, K64)])

    def test_a_lie_and_growth(self):
        snapshot = self.sim.snapshot("vm-42")
        since = self.change_id(snapshot)
        self.sim.remove(snapshot)
        self.sim.control("lie", offset=0, length=5, byte=1)
        self.sim.control("grow", size=SIZE + (1 << 20))
        snapshot = self.sim.snapshot("vm-42")
        self.assertEqual(self.sim.changes("vm-42", snapshot, since, SIZE), [])
        self.assertEqual(self.get(Range="bytes=0-4")[2], b"\1" * 5)
        disk = self.sim.disk("VirtualMachineSnapshot", snapshot)
        self.assertEqual(disk.findtext("capacityInBytes"), str(SIZE + (1 << 20)))
        self.assertEqual(int(self.get()[1]["Content-Length"]), SIZE + (1 << 20))

    def test_powered_off(self):
        self.sim.control("power", on=0)
        self.assertEqual(len(self.sim.changes("vm-42", None, "*", SIZE)), 2)
        self.assertEqual(self.get(Range="bytes=131072-131072")[2], b"a")


class Enabling(Case):
    arguments = ("--no-cbt",)

    def test_takes_effect_at_the_next_stun(self):
        self.sim.login()
        first = self.sim.snapshot("vm-42")
        self.assertIsNone(self.sim.disk("VirtualMachineSnapshot", first).find("backing/changeId"))
        self.assertIn("noEpoch", self.fault("FileFault", self.sim.page, "vm-42", first, "*", 0))
        self.assertIn("noTrack", self.fault("FileFault", self.sim.page, "vm-42", first, "52/1", 0))
        self.sim.remove(first)
        self.sim.task("ReconfigVM_Task", *VM, "<spec><changeTrackingEnabled>true"
                      "</changeTrackingEnabled></spec>")
        self.assertEqual(self.sim.properties(*VM, "config.changeTrackingEnabled")
                         ["config.changeTrackingEnabled"].text, "true")
        throw_away = self.sim.snapshot("vm-42")
        self.assertIsNone(self.sim.disk("VirtualMachineSnapshot", throw_away).find("backing/changeId"))
        self.sim.remove(throw_away)
        real = self.sim.snapshot("vm-42")
        since = self.sim.disk("VirtualMachineSnapshot", real).findtext("backing/changeId")
        self.assertEqual(self.sim.changes("vm-42", real, since, SIZE), [])
        self.assertEqual(len(self.sim.changes("vm-42", real, "*", SIZE)), 2)


class Snapshots(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()

    def test_tree_and_file_names(self):
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

    def test_one_task_at_a_time(self):
        create = ("CreateSnapshot_Task", *VM, "<name>x</name>")
        task = self.sim.call(*create).findtext("returnval")
        state = self.sim.properties("Task", task, "info.state")["info.state"].text
        self.assertIn(state, ("queued", "running"))
        self.fault("TaskInProgress", self.sim.call, *create)


class Several(unittest.TestCase):
    """Two datacenters, two VMs of one name, one of them with two disks."""

    def test_each_has_its_own(self):
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
        self.assertEqual(sim.request("GET", "/_test/write?offset=0&length=1&byte=9")[0], 400)  # which?
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
