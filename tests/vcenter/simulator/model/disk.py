# SPDX-License-Identifier: BSD-3-Clause
"""A virtual disk: its live content, its frozen snapshots, and changed block tracking (CBT).

The live content is a raw file that only this process writes. A snapshot costs nothing when it is
taken: the first write to a block afterwards keeps the old block in a file of the newest snapshot. The
frozen view of a snapshot is its own kept blocks, else those of the next newer one, and so on; what
nobody kept is still as it was, in the live file.

CBT numbers epochs. A snapshot ends the current epoch; its changeId "UUID/N" names the first epoch after
it. What changed since it, up to a later snapshot "UUID/M", is what was written in epochs N to M-1.
"""

import os
import secrets
import threading
from bisect import bisect_left

from simulator.model.areas import BLOCK, BlockMap, blocks_of
from simulator.model.sparse import data_ranges, is_zero, make_zero, read_all, write_all


class UnknownChange(Exception):
    """The changes asked for are not known. The argument is the key of the fault's message."""


class Frozen:
    """A disk as it was when a snapshot was taken."""

    def __init__(self, file_name, size, allocated, tracking, epoch, kept_path):
        self.file_name = file_name  # of the VMDK that became read-only with the snapshot
        self.size = size
        self.allocated = allocated
        self.uuid, self.epoch = tracking, epoch  # None while CBT was off
        self.kept = set()  # numbers of the blocks in kept_fd, at the place they have on the disk
        self.kept_fd = os.open(kept_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.unlink(kept_path)

    @property
    def change_id(self):
        return None if self.uuid is None else f"{self.uuid}/{self.epoch}"


def new_uuid():
    """As VMware writes it in a changeId: 52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63"""
    raw = secrets.token_hex(16)
    pairs = ["52"] + [raw[i:i + 2] for i in range(2, 32, 2)]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


class Disk:
    def __init__(self, key, raw_path, file_name, scratch):
        self.key = key  # the device key, such as 2000
        self.path = raw_path
        self.base_name = file_name  # path in the datastore, such as web1/web1.vmdk
        self.file_name = file_name  # of the VMDK that is written now: a -000001 while snapshots exist
        self.mode = "persistent"  # only shown, as are the next three
        self.rdm = ""  # physicalMode or virtualMode: a raw device mapping
        self.sharing = ""  # sharingMultiWriter, sharingNone
        self.names_datastore = True
        self.scratch = scratch  # directory for kept blocks
        self.fd = os.open(raw_path, os.O_RDWR)
        self.size = os.fstat(self.fd).st_size
        self.uuid = None  # None: CBT is off
        self.epoch = 0
        self.changed = {}  # epoch -> numbers of the blocks written in it
        self.last_query = None, []  # see _changed_between
        self.snapshots = []  # Frozen, oldest first
        self.lock = threading.RLock()  # of all above and the content; held for one piece of I/O
        self.allocated = BlockMap(self.size)
        for start, end in data_ranges(self.fd, self.size):
            for block in blocks_of(start, end - start):
                if not is_zero(self._read_live(block)):
                    self.allocated.set([block])

    # --- what the guest does

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
        """The guest trims: zeroes, changed, and whole blocks are no longer allocated."""
        with self.lock:
            touched = self._about_to_change(offset, length, True)
            make_zero(self.fd, offset, length)
            end = offset + length
            self.allocated.set((b for b in touched if b * BLOCK >= offset and
                                min((b + 1) * BLOCK, self.size) <= end), 0)

    def touch(self, count, every):
        """Of every EVERY blocks the first is said to be allocated and changed, COUNT times. Nothing is
        written: for maps with more areas than there is room for their bytes."""
        with self.lock:
            blocks = range(0, count * every, every)
            if count < 1 or every < 1 or blocks[-1] * BLOCK >= self.size:
                raise ValueError(f"{count} areas, every {every} blocks, do not fit the disk")
            self.allocated.set(blocks)
            if self.uuid is not None:
                self.changed.setdefault(self.epoch, set()).update(blocks)

    def take_over(self, path):
        """The guest makes its disk equal to the raw file PATH: writes what differs, block by block.
        Where the file has a hole over a whole block, it trims. Returns the number of blocks."""
        source = os.open(path, os.O_RDONLY)
        try:
            if os.fstat(source).st_size != self.size:
                raise ValueError(f"{path} has {os.fstat(source).st_size} bytes, the disk {self.size}")
            data = BlockMap(self.size)
            for start, end in data_ranges(source, self.size):
                data.set(blocks_of(start, end - start))
            return sum(self._take_over(source, at, data) for at in range(0, self.size, 1 << 20))
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
        """Starts (with nothing known of the past) or ends change tracking."""
        with self.lock:
            if on != (self.uuid is not None):
                self.uuid, self.epoch, self.changed = (new_uuid() if on else None), 1, {}

    def reset_tracking(self):
        """What storage vMotion, a crash or a revert do: a new UUID; older changeIds are worth nothing."""
        with self.lock:
            if self.uuid is not None:
                self.uuid, self.changed = new_uuid(), {}

    def changes(self, change_id, frozen, start, end):
        """The blocks changed since change_id ("*": allocated) up to a Frozen, or, if that is None, up
        to now. Only those that touch [start, end); sorted."""
        with self.lock:
            state = frozen or self
            if state.uuid is None:
                raise UnknownChange("noEpoch" if change_id == "*" else "noTrack")
            if change_id == "*":
                return list(state.allocated.blocks(start, end))
            uuid, _, number = change_id.rpartition("/")
            since = int(number) if number.isdecimal() else 0
            last = frozen.epoch if frozen else self.epoch + 1
            if uuid != state.uuid or uuid != self.uuid or not 0 < since <= last:
                raise UnknownChange("cannotGetChanges")
            wanted, known = blocks_of(start, end - start), self._changed_between(since, last)
            return known[bisect_left(known, wanted.start):bisect_left(known, wanted.stop)]

    # --- snapshots

    def freeze(self):
        """Takes a snapshot; the caller keeps the Frozen and gives it to thaw."""
        with self.lock:
            self.epoch += 1
            kept_path = os.path.join(self.scratch, f"kept-{self.key}-{secrets.token_hex(8)}")
            frozen = Frozen(self.file_name, self.size, self.allocated.copy(), self.uuid, self.epoch,
                            kept_path)
            self.snapshots.append(frozen)
            self.file_name = self._unused_delta_name()
            return frozen

    def thaw(self, frozen):
        """Removes a snapshot: the next older one takes over the blocks that it needs, the next newer
        one (or the live disk) takes over its VMDK."""
        with self.lock:
            index = self.snapshots.index(frozen)
            if index > 0:
                older = self.snapshots[index - 1]
                for block in frozen.kept - older.kept:
                    self._keep(older, block, read_all(frozen.kept_fd, BLOCK, block * BLOCK))
            del self.snapshots[index]
            if index < len(self.snapshots):
                self.snapshots[index].file_name = frozen.file_name
            else:
                self.file_name = frozen.file_name
            os.close(frozen.kept_fd)

    def base(self):
        """Whose content the base VMDK has: the Frozen of the oldest snapshot; None: the live disk."""
        with self.lock:
            return self.snapshots[0] if self.snapshots else None

    def read(self, frozen, offset, length):
        """The bytes of a frozen view, or, if that is None, of the live disk."""
        with self.lock:
            if frozen is None:
                return read_all(self.fd, length, offset)
            if frozen not in self.snapshots:
                raise FileNotFoundError("the snapshot was removed")
            chain = self.snapshots[self.snapshots.index(frozen):]
            data = read_all(self.fd, length, offset)
            for block in blocks_of(offset, length):
                owner = next((one for one in chain if block in one.kept), None)
                if owner is not None:
                    low = max(block * BLOCK, offset)
                    high = min((block + 1) * BLOCK, offset + length)
                    if isinstance(data, bytes):
                        data = bytearray(data)
                    data[low - offset:high - offset] = read_all(owner.kept_fd, high - low, low)
            return data

    # --- for this class only

    def _changed_between(self, since, last):
        """Sorted. The last answer is kept, for a query comes in many pages."""
        epochs = {epoch: len(self.changed.get(epoch, ())) for epoch in range(since, last)}
        if self.last_query[0] != (self.uuid, epochs):
            blocks = set().union(*(self.changed.get(epoch, ()) for epoch in epochs))
            self.last_query = (self.uuid, epochs), sorted(blocks)
        return self.last_query[1]

    def _read_live(self, block):
        return read_all(self.fd, min(BLOCK, self.size - block * BLOCK), block * BLOCK)

    def _keep(self, frozen, block, data):
        write_all(frozen.kept_fd, data, block * BLOCK)
        frozen.kept.add(block)

    def _about_to_change(self, offset, length, tracked):
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(f"[{offset}, {offset + length}) is not within the disk of {self.size} bytes")
        touched = blocks_of(offset, length)
        if self.snapshots:
            for block in touched:
                if block not in self.snapshots[-1].kept:
                    self._keep(self.snapshots[-1], block, self._read_live(block))
        if tracked and self.uuid is not None:
            self.changed.setdefault(self.epoch, set()).update(touched)
        return touched

    def _take_over(self, source, at, data):
        length = min(1 << 20, self.size - at)
        wanted = read_all(source, length, at)
        with self.lock:
            if wanted == read_all(self.fd, length, at):
                return 0
            changed = 0
            for block in blocks_of(at, length):
                new = wanted[block * BLOCK - at:(block + 1) * BLOCK - at]
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
