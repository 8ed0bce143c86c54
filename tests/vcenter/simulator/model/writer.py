# SPDX-License-Identifier: BSD-3-Clause
"""A program in a guest that overwrites its files, again and again from the first to the last.

The N-th block that it writes has the same place and content in each run: only how far it gets in a time depends on the machine.
"""

import struct
import threading
import time

BLOCK = 64 * 1024
TICK = 0.02  # seconds


class Budget:
    """The bytes that may be written now. What could not be written in time is lost, but for that of a quarter of a second."""

    def __init__(self, rate):
        self.rate, self.left = rate, 0.0

    def passes(self, seconds):
        self.left = min(self.left + seconds * self.rate, self.rate / 4 + BLOCK)

    def has_block(self):
        return self.left >= BLOCK


class Writer:
    """Its VM's lock protects it, but what its thread does: that ends before stop() returns."""

    def __init__(self, disk, areas, rate=0, rounds=(), last=0, file_system=None):
        """areas: [(offset, length)]. rate: bytes a second. rounds: bytes after each snapshot that is taken, in turn; the last
        number stays. last: bytes that it writes when the guest shuts down. file_system: an ext4.Superblock of the disk."""
        self.disk, self.rate, self.rounds, self.last = disk, rate, list(rounds), last
        self.file_system = file_system
        self.blocks = [(at, min(BLOCK, offset + length - at)) for offset, length in areas
                       for at in range(offset, offset + length, BLOCK)]
        if not self.blocks:
            raise ValueError("there is nothing that it could overwrite")
        self.written = 0  # bytes
        self.number = 0  # of blocks
        self.snapshots = 0
        self.stopped = None
        self.thread = None

    def start(self):
        if self.file_system:
            self.file_system.mounted(True)
        if self.rate:
            self.stopped = threading.Event()
            self.thread = threading.Thread(target=self._run, daemon=True)
            self.thread.start()

    def stop(self, clean):
        if self.thread:
            self.stopped.set()
            self.thread.join()
            self.thread = None
        if clean:
            self.write(self.last)
            if self.file_system:
                self.file_system.mounted(False)

    def snapshot_taken(self):
        if self.rounds:
            self.write(self.rounds[min(self.snapshots, len(self.rounds) - 1)])
            self.snapshots += 1

    def write(self, count):
        """At least so many bytes, in whole blocks."""
        end = self.written + count
        while self.written < end:
            offset, length = self.blocks[self.number % len(self.blocks)]
            self.number += 1
            self.disk.write(offset, struct.pack("<QQ", self.disk.key, self.number) * (length // 16) + bytes(length % 16))
            self.written += length

    def _run(self):
        budget, then = Budget(self.rate), time.monotonic()
        while not self.stopped.wait(TICK):
            now = time.monotonic()
            budget.passes(now - then)
            then = now
            while budget.has_block() and not self.stopped.is_set():
                before = self.written
                self.write(1)
                budget.left -= self.written - before
