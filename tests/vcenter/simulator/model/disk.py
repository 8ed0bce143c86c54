# SPDX-License-Identifier: BSD-3-Clause
"""A virtual disk: its live content, its snapshots, and changed block tracking.

The live content is a raw file that only this process writes. Taking a snapshot copies nothing. The first
write to a block after it saves the old block in a file of the newest snapshot. A snapshot's content of a
block is the one saved in it, or else in the next newer snapshot that has it, or else the live one.
"""

import os
import secrets
import threading
from bisect import bisect_left

from simulator.model.areas import BLOCK, BlockMap, blocks_of
from simulator.model.change_tracking import ChangeTracking, UnknownChange
from simulator.model.disk_snapshot import DiskSnapshot
from simulator.model.sparse import data_ranges, is_zero, make_zero, read_all, write_all


class Disk:
    def __init__(self, key, raw_path, file_name, scratch):
        self.key = key  # the device key, such as 2000
        self.path = raw_path
        self.base_name = file_name  # path in the datastore, such as web1/web1.vmdk
        self.file_name = file_name  # of the VMDK that is written now: a -000001 while snapshots exist
        self.mode = "persistent"  # this and the next four are only shown
        self.rdm = ""  # physicalMode or virtualMode: a raw device mapping
        self.sharing = ""  # sharingMultiWriter, sharingNone
        self.names_datastore = True
        self.crypto_key = ""  # of an encrypted disk
        self.scratch = scratch  # directory for saved blocks
        self.fd = os.open(raw_path, os.O_RDWR)
        self.size = os.fstat(self.fd).st_size
        self.tracking = ChangeTracking()
        self.snapshots = []  # DiskSnapshot, oldest first
        self.lock = threading.RLock()  # protects all above and the content; held for one piece of I/O
        self.allocated = BlockMap(self.size)
        for start, end in data_ranges(self.fd, self.size):
            for block in blocks_of(start, end - start):
                if not is_zero(self._read_live(block)):
                    self.allocated.set([block])

    # --- writes of the guest

    def write(self, offset, data, tracked=True):
        with self.lock:
            touched = self._about_to_change(offset, len(data), tracked)
            write_all(self.fd, data, offset)
            if tracked:
                self.allocated.set(touched)

    def fill(self, offset, length, byte, tracked=True):
        while length > 0:
            piece = min(length, 1 << 20)
            self.write(offset, bytes([byte]) * piece, tracked)
            offset, length = offset + piece, length - piece

    def unmap(self, offset, length):
        """A trim: makes zeroes, which are changed; whole blocks are no longer allocated."""
        with self.lock:
            touched = self._about_to_change(offset, length, True)
            make_zero(self.fd, offset, length)
            end = offset + length
            self.allocated.set((b for b in touched if b * BLOCK >= offset and
                                min((b + 1) * BLOCK, self.size) <= end), 0)

    def touch(self, count, every):
        """Marks the first of every EVERY blocks as allocated and changed, COUNT times. Nothing is
        written: this makes maps with more areas than there is disk space for."""
        with self.lock:
            blocks = range(0, count * every, every)
            if count < 1 or every < 1 or blocks[-1] * BLOCK >= self.size:
                raise ValueError(f"{count} areas, every {every} blocks, do not fit the disk")
            self.allocated.set(blocks)
            self.tracking.add(blocks)

    def import_file(self, path):
        """Makes the disk equal to the raw file PATH. Writes the blocks that differ, and trims those that
        are holes in the file. Returns the number of blocks."""
        source = os.open(path, os.O_RDONLY)
        try:
            if os.fstat(source).st_size != self.size:
                raise ValueError(f"{path} has {os.fstat(source).st_size} bytes, the disk {self.size}")
            data = BlockMap(self.size)
            for start, end in data_ranges(source, self.size):
                data.set(blocks_of(start, end - start))
            return sum(self._import_piece(source, at, data) for at in range(0, self.size, 1 << 20))
        finally:
            os.close(source)

    def grow(self, size):
        with self.lock:
            if size <= self.size:
                raise ValueError(f"the disk has {self.size} bytes already")
            os.ftruncate(self.fd, size)
            self.size = size
            self.allocated = BlockMap(size, self.allocated.flags)

    # --- change tracking

    def track(self, on):
        with self.lock:
            self.tracking.switch(on)

    def reset_tracking(self):
        with self.lock:
            self.tracking.reset()

    def changes(self, change_id, snapshot, start, end):
        """Sorted numbers of the blocks changed since change_id ("*": the allocated blocks), up to the
        snapshot or, if that is None, up to now. Only those that overlap [start, end)."""
        with self.lock:
            if (snapshot or self.tracking).uuid is None:
                raise UnknownChange("noEpoch" if change_id == "*" else "noTrack")
            if change_id == "*":
                return list((snapshot or self).allocated.blocks(start, end))
            changed = self.tracking.changed_since(change_id, snapshot)
            overlapping = blocks_of(start, end - start)
            return changed[bisect_left(changed, overlapping.start):
                           bisect_left(changed, overlapping.stop)]

    # --- snapshots

    def take_snapshot(self):
        with self.lock:
            epoch = self.tracking.begin_epoch()
            saved_path = os.path.join(self.scratch, f"saved-{self.key}-{secrets.token_hex(8)}")
            snapshot = DiskSnapshot(self.file_name, self.size, self.allocated.copy(),
                                    self.tracking.uuid, epoch, saved_path)
            self.snapshots.append(snapshot)
            self.file_name = self._unused_delta_name()
            return snapshot

    def remove_snapshot(self, snapshot):
        """The next older snapshot gets the blocks that it needs, and the next newer one, or the live
        disk, gets the VMDK."""
        with self.lock:
            index = self.snapshots.index(snapshot)
            if index > 0:
                older = self.snapshots[index - 1]
                for block in snapshot.saved - older.saved:
                    older.save(block, snapshot.read(block * BLOCK, BLOCK))
            del self.snapshots[index]
            if index < len(self.snapshots):
                self.snapshots[index].file_name = snapshot.file_name
            else:
                self.file_name = snapshot.file_name
            snapshot.close()

    def base(self):
        """The snapshot whose content the base VMDK has, which is the oldest one; None: the live disk."""
        with self.lock:
            return self.snapshots[0] if self.snapshots else None

    def read(self, snapshot, offset, length):
        """The bytes of a snapshot or, if that is None, of the live disk."""
        with self.lock:
            if snapshot is None:
                return read_all(self.fd, length, offset)
            if snapshot not in self.snapshots:
                raise FileNotFoundError("the snapshot was removed")
            chain = self.snapshots[self.snapshots.index(snapshot):]
            data = read_all(self.fd, length, offset)
            for block in blocks_of(offset, length):
                owner = next((one for one in chain if block in one.saved), None)
                if owner is not None:
                    low = max(block * BLOCK, offset)
                    high = min((block + 1) * BLOCK, offset + length)
                    if isinstance(data, bytes):
                        data = bytearray(data)
                    data[low - offset:high - offset] = owner.read(low, high - low)
            return data

    # --- private

    def _read_live(self, block):
        return read_all(self.fd, min(BLOCK, self.size - block * BLOCK), block * BLOCK)

    def _about_to_change(self, offset, length, tracked):
        """Saves and records the blocks of the range, which it returns."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(f"[{offset}, {offset + length}) is not within the disk of {self.size} bytes")
        touched = blocks_of(offset, length)
        if self.snapshots:
            for block in touched:
                if block not in self.snapshots[-1].saved:
                    self.snapshots[-1].save(block, self._read_live(block))
        if tracked:
            self.tracking.add(touched)
        return touched

    def _import_piece(self, source, at, data):
        length = min(1 << 20, self.size - at)
        content = read_all(source, length, at)
        with self.lock:
            if content == read_all(self.fd, length, at):
                return 0
            changed = 0
            for block in blocks_of(at, length):
                new = content[block * BLOCK - at:(block + 1) * BLOCK - at]
                if new != self._read_live(block):
                    changed += 1
                    if data.flags[block]:
                        self.write(block * BLOCK, new)
                    else:
                        self.unmap(block * BLOCK, len(new))
            return changed

    def _unused_delta_name(self):
        used = {one.file_name for one in self.snapshots}
        stem = self.base_name.removesuffix(".vmdk")
        return next(name for number in range(1, 1000000)
                    if (name := f"{stem}-{number:06}.vmdk") not in used)
