# SPDX-License-Identifier: BSD-3-Clause
"""The model of a disk, compared with whole copies of its content."""

import os
import random
import tempfile
import unittest

from simulator.model.areas import BLOCK, areas_of
from simulator.model.change_tracking import UnknownChange
from simulator.model.disk import Disk

SIZE = 20 * BLOCK + 512  # the last block is short


class DiskCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "disk.img")
        with open(self.path, "wb") as file:
            file.write(bytes(BLOCK) + b"x" * BLOCK)  # a written zero block, and data
            file.truncate(SIZE)
        self.disk = Disk(2000, self.path, "web1/web1.vmdk", directory.name)
        self.disk.track(True)

    def live(self):
        with open(self.path, "rb") as file:
            return file.read()


class RandomOperations(DiskCase):
    """Writes, trims, snapshots and removals in random order."""

    def setUp(self):
        super().setUp()
        self.dice = random.Random(self.id())
        self.views = []  # (DiskSnapshot, bytes, {older changeId: blocks changed since})
        self.history = {}  # changeId -> blocks changed since

    def guest(self):
        offset = self.dice.randrange(SIZE)
        length = self.dice.randrange(1, min(SIZE - offset, 5 * BLOCK) + 1)
        if self.dice.random() < 0.3:
            self.disk.unmap(offset, length)
        else:
            self.disk.write(offset, self.dice.randbytes(length))
        touched = {at // BLOCK for at in range(offset, offset + length, 512)}
        touched.add((offset + length - 1) // BLOCK)
        for blocks in self.history.values():
            blocks |= touched

    def take(self):
        snapshot = self.disk.take_snapshot()
        self.history[snapshot.change_id] = set()
        self.views.append((snapshot, self.live(),
                           {one: set(blocks) for one, blocks in self.history.items()}))

    def remove(self):
        if self.views:
            view = self.views.pop(self.dice.randrange(len(self.views)))
            self.disk.remove_snapshot(view[0])

    def check(self):
        for snapshot, content, changed in self.views:
            self.assertEqual(self.disk.read(snapshot, 0, SIZE), content)
            offset = self.dice.randrange(SIZE)
            length = self.dice.randrange(SIZE - offset)
            self.assertEqual(self.disk.read(snapshot, offset, length), content[offset:offset + length])
            for change_id, blocks in changed.items():
                self.assertEqual(self.disk.changes(change_id, snapshot, 0, SIZE), sorted(blocks))
            allocated = set(self.disk.changes("*", snapshot, 0, SIZE))
            for block in range(21):
                if block not in allocated:
                    self.assertFalse(any(content[block * BLOCK:(block + 1) * BLOCK]), block)

    def test_snapshots_and_changes_agree_with_whole_copies(self):
        for _ in range(400):
            self.dice.choices((self.guest, self.take, self.remove), (6, 1, 1))[0]()
            self.check()
        self.assertGreater(len(self.history), 10)


class Details(DiskCase):
    def test_zero_blocks_are_not_allocated_at_the_start(self):
        self.assertEqual(list(self.disk.allocated.blocks(0, SIZE)), [1])

    def test_a_trim_frees_whole_blocks_only(self):
        self.disk.write(0, b"y" * SIZE)
        self.disk.unmap(BLOCK - 1, BLOCK + 2)
        self.assertNotIn(1, self.disk.allocated.blocks(0, SIZE))
        self.assertIn(0, self.disk.allocated.blocks(0, SIZE))
        self.assertIn(2, self.disk.allocated.blocks(0, SIZE))
        self.disk.unmap(20 * BLOCK, 512)  # the last block is whole although it is short
        self.assertNotIn(20, self.disk.allocated.blocks(0, SIZE))

    def test_a_write_outside_the_disk_is_refused(self):
        for offset, length in ((SIZE, 1), (-1, 2), (0, SIZE + 1)):
            with self.assertRaises(ValueError):
                self.disk.write(offset, bytes(length))
            with self.assertRaises(ValueError):
                self.disk.unmap(offset, length)

    def test_areas_are_joined_and_clipped(self):
        self.assertEqual(areas_of([0, 1, 3], 0, 10 * BLOCK), [(0, 2 * BLOCK), (3 * BLOCK, BLOCK)])
        self.assertEqual(areas_of([0, 1, 3], BLOCK // 2, 3 * BLOCK + 5),
                         [(BLOCK // 2, BLOCK * 3 // 2), (3 * BLOCK, 5)])
        self.disk.write(SIZE - 1, b"z")
        self.assertEqual(areas_of(self.disk.allocated.blocks(19 * BLOCK, SIZE), 0, SIZE),
                         [(20 * BLOCK, 512)])

    def test_a_removed_snapshot_cannot_be_read(self):
        snapshot = self.disk.take_snapshot()
        self.disk.remove_snapshot(snapshot)
        with self.assertRaises(FileNotFoundError):
            self.disk.read(snapshot, 0, 1)

    def test_snapshots_before_tracking_have_no_change_id(self):
        self.disk.track(False)
        before = self.disk.take_snapshot()
        self.disk.track(True)
        after = self.disk.take_snapshot()
        self.assertIsNone(before.change_id)
        with self.assertRaisesRegex(UnknownChange, "noTrack"):
            self.disk.changes(after.change_id, before, 0, SIZE)
        self.assertEqual(self.disk.changes("*", after, 0, SIZE), [1])

    def test_import_of_another_size_is_refused(self):
        with open(self.path + "2", "wb") as file:
            file.truncate(SIZE + 512)
        with self.assertRaises(ValueError):
            self.disk.import_file(self.path + "2")


if __name__ == "__main__":
    unittest.main()
