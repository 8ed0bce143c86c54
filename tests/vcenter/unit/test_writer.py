# SPDX-License-Identifier: BSD-3-Clause
"""Guests that write by themselves, and the file system that they write to."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import unittest

from simulator.model import ext4
from simulator.model.inventory import Inventory
from simulator.model.writer import BLOCK, Budget, Writer
from unit.client import wait_for

SIZE = 16 << 20
AREAS = [(BLOCK, 4 * BLOCK), (100 * BLOCK, BLOCK + 1000)]  # the last block is short
AREA = 5 * BLOCK + 1000


class WriterCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.path = os.path.join(self.directory, "disk.img")
        self.make_disk()
        self.inventory = Inventory(self.directory)
        self.vm = self.inventory.add_machine("/DC0/vm/web1", "vm-42", [(2000, self.path)], True)
        self.disk = self.vm.disks[0]
        self.addCleanup(self.vm.guest.remove_all)

    def make_disk(self):
        with open(self.path, "wb") as file:
            file.truncate(SIZE)

    def add(self, areas=None, **values):
        writer = Writer(self.disk, areas or AREAS, **values)
        self.vm.guest.add(writer)
        return writer

    def snapshot(self):
        return self.vm.take_snapshot(self.inventory.new_moref("snapshot"), "x", "", False)

    def digest(self):
        with open(self.path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def power(self, state, clean=False):
        self.vm.state.set(state, "somebody", clean)


class Writers(WriterCase):
    def test_rounds(self):
        """So many bytes after each snapshot, which has none of them."""
        writer = self.add(rounds=[3 * BLOCK, BLOCK])
        since = self.snapshot().disk_snapshots[2000]
        self.assertEqual((writer.written, self.disk.changes(since.change_id, None, 0, SIZE)), (3 * BLOCK, [1, 2, 3]))
        self.assertEqual(self.disk.read(since, BLOCK, BLOCK), bytes(BLOCK))
        self.snapshot()
        self.snapshot()  # the last number stays
        self.assertEqual(writer.written, 4 * BLOCK + BLOCK)
        self.assertEqual(self.disk.changes(since.change_id, None, 0, SIZE), [1, 2, 3, 4, 100])
        self.power("poweredOff")
        self.snapshot()
        self.assertEqual(writer.written, 5 * BLOCK)

    def test_a_rate_until_the_power_goes(self):
        writer = self.add(rate=64 << 20)
        wait_for(lambda: writer.written > 3 * AREA)
        self.power("poweredOff")
        there = self.digest(), writer.written
        self.assertIsNone(writer.thread)
        self.assertEqual((self.digest(), writer.written), there)
        self.power("poweredOn")
        wait_for(lambda: writer.written > there[1])

    def test_a_rate_is_not_exceeded(self):
        """However long the thread had to wait."""
        budget = Budget(8 * BLOCK)
        self.assertFalse(budget.has_block())
        budget.passes(0.125)
        self.assertEqual((budget.has_block(), budget.left), (True, BLOCK))
        budget.passes(100)
        self.assertEqual(budget.left, 3 * BLOCK)

    def test_each_run_writes_the_same(self):
        writer = self.add(rounds=[7 * BLOCK])
        self.snapshot()
        before = self.disk.read(None, 0, 10 * BLOCK)
        self.assertEqual(writer.number, 8)  # the 6th block is a short one; then it begins again
        self.assertEqual(before[BLOCK:BLOCK + 16], (2000).to_bytes(8, "little") + (7).to_bytes(8, "little"))
        self.assertEqual([before[block * BLOCK + 8] for block in (1, 2, 3, 4)], [7, 8, 3, 4])

    def test_the_last_writes_come_with_the_shutdown(self):
        writer = self.add(last=2 * BLOCK)
        self.power("poweredOff")
        self.assertEqual(writer.written, 0)
        self.power("poweredOn")
        self.power("poweredOff", clean=True)
        self.assertEqual(writer.written, 2 * BLOCK)

    def test_a_copy_at_each_power_off(self):
        self.vm.guest.keep = self.directory
        self.add(last=BLOCK)
        for clean in (False, True):
            self.power("poweredOff", clean)
            with open(os.path.join(self.directory, "2000.img"), "rb") as file:
                self.assertEqual(hashlib.sha256(file.read()).hexdigest(), self.digest())
            self.power("poweredOn")

    def test_nothing_to_write(self):
        with self.assertRaises(ValueError):
            Writer(self.disk, [])


@unittest.skipIf(shutil.which("mke2fs") is None, "e2fsprogs is not installed")
class FileSystem(WriterCase):
    OPTIONS = ()

    def make_disk(self):
        root = os.path.join(self.directory, "root")
        os.mkdir(root)
        for name in ("a", "b"):
            with open(os.path.join(root, name), "wb") as file:
                file.write(name.encode() * (1 << 20))
        subprocess.run(["mke2fs", "-q", "-t", "ext4", *self.OPTIONS, "-d", root, self.path, "16M"], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)

    def checked(self):
        """(exit status of a forced check, what the superblock says)"""
        check = subprocess.run(["e2fsck", "-fn", self.path], capture_output=True, timeout=60, check=False).returncode
        head = subprocess.run(["dumpe2fs", "-h", self.path], capture_output=True, text=True, timeout=60, check=True).stdout
        return check, "needs_recovery" in head, next(
            line.partition(":")[2].strip() for line in head.splitlines() if line.startswith("Filesystem state"))

    def content(self, name):
        return subprocess.run(["debugfs", "-R", f"cat /{name}", self.path], capture_output=True, timeout=60, check=True).stdout

    def test_files_are_overwritten_and_the_file_system_stays_whole(self):
        areas = ext4.areas_of_files(self.path, ["/a"])
        self.assertEqual(sum(length for _, length in areas), 1 << 20)
        self.add(areas, rounds=[2 << 20], last=BLOCK, file_system=ext4.Superblock(self.disk))
        self.assertEqual(self.checked(), (0, True, "not clean"))
        self.snapshot()
        self.assertNotIn(b"a", self.content("a"))
        self.assertEqual(self.content("b"), b"b" * (1 << 20))
        self.power("poweredOff")
        self.assertEqual(self.checked(), (0, True, "not clean"))
        self.power("poweredOn")
        self.power("poweredOff", clean=True)
        self.assertEqual(self.checked(), (0, False, "clean"))

    def test_a_file_that_is_not_there(self):
        with self.assertRaisesRegex(ValueError, "/none"):
            ext4.areas_of_files(self.path, ["/none"])

    def test_no_file_system(self):
        self.disk.fill(0, 4096, 0)
        with self.assertRaisesRegex(ValueError, "no ext4"):
            ext4.Superblock(self.disk).mounted(True)


class WithoutJournal(FileSystem):
    OPTIONS = ("-O", "^has_journal,^metadata_csum")

    def test_files_are_overwritten_and_the_file_system_stays_whole(self):
        self.add(ext4.areas_of_files(self.path, ["/a"]), file_system=ext4.Superblock(self.disk))
        self.assertEqual(self.checked(), (0, False, "not clean"))
        self.power("poweredOff", clean=True)
        self.assertEqual(self.checked(), (0, False, "clean"))


if __name__ == "__main__":
    unittest.main()
