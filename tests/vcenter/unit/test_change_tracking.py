# SPDX-License-Identifier: BSD-3-Clause
"""Changed block tracking over HTTPS."""

import os
import unittest

from unit.case import K64, SIZE, VM, Case


class ChangeTracking(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()

    def change_id(self, snapshot):
        return self.sim.disk("VirtualMachineSnapshot", snapshot).findtext("backing/changeId")

    def test_allocated_areas_come_in_pages(self):
        snapshot = self.sim.snapshot("vm-42")
        pages = [self.sim.page("vm-42", snapshot, "*", at << 20) for at in (0, 16, 32, 48)]
        self.assertEqual(pages, [(16 << 20, [(2 * K64, 3 * K64)]), (16 << 20, []),
                                 (16 << 20, [(40 << 20, K64)]), (16 << 20, [])])
        self.assertIn("startOffset", self.fault("InvalidArgument", self.sim.page, "vm-42", snapshot,
                                                "*", SIZE))
        self.assertIn("deviceKey", self.fault("InvalidArgument", self.sim.page, "vm-42", snapshot,
                                              "*", 0, 2001))
        self.fault("InvalidArgument", self.sim.page, "vm-42", None, "*", 0)

    def test_changes_end_with_the_snapshot(self):
        self.sim.control("write", offset=0, length=1, byte=7)  # before the first snapshot
        first = self.sim.snapshot("vm-42")
        since = self.change_id(first)
        self.assertRegex(since, r"^52( [0-9a-f]{2}){7}-[0-9a-f]{2}( [0-9a-f]{2}){7}/\d+$")
        self.assertEqual(self.sim.changes("vm-42", first, since, SIZE), [])
        self.sim.control("write", body=b"x" * 10, offset=K64 * 3 - 5)  # in two blocks
        self.sim.control("unmap", offset=40 << 20, length=K64)
        self.assertEqual(self.sim.remove(first)[0], "success")
        self.sim.control("write", offset=K64 * 900, length=K64, byte=9)
        second = self.sim.snapshot("vm-42")
        self.sim.control("write", offset=K64 * 500, length=1, byte=1)  # later: not in the second
        self.assertEqual(self.sim.changes("vm-42", second, since, SIZE),
                         [(2 * K64, 2 * K64), (40 << 20, K64), (900 * K64, K64)])
        self.assertEqual(self.sim.changes("vm-42", second, "*", SIZE),
                         [(0, K64), (2 * K64, 3 * K64), (900 * K64, K64)])

    def test_unknown_change_ids_are_refused(self):
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

    def test_import_writes_blocks_that_differ(self):
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

    def test_untracked_writes_and_growth(self):
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

    def test_a_vm_that_is_powered_off(self):
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
        temporary = self.sim.snapshot("vm-42")
        self.assertIsNone(self.sim.disk("VirtualMachineSnapshot", temporary).find("backing/changeId"))
        self.sim.remove(temporary)
        real = self.sim.snapshot("vm-42")
        since = self.sim.disk("VirtualMachineSnapshot", real).findtext("backing/changeId")
        self.assertEqual(self.sim.changes("vm-42", real, since, SIZE), [])
        self.assertEqual(len(self.sim.changes("vm-42", real, "*", SIZE)), 2)


if __name__ == "__main__":
    unittest.main()
