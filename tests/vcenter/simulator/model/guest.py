# SPDX-License-Identifier: BSD-3-Clause
"""The guest of a VM: what it writes while the VM is on, by itself."""

import os

from simulator.model.sparse import data_ranges, read_all, write_all


class Guest:
    """start, stop and snapshot_taken are called under the VM's lock."""

    def __init__(self, vm):
        self.vm = vm
        self.writers = []
        self.keep = None  # a directory for copies of the disks as they are at each power-off

    def add(self, writer):
        with self.vm.lock:
            self.writers.append(writer)
            if self.vm.state.on:
                writer.start()

    def remove_all(self):
        """The guest writes no more. It has not shut down."""
        with self.vm.lock:
            self._halt(clean=False)
            self.writers.clear()

    def start(self):
        for writer in self.writers:
            writer.start()

    def stop(self, clean):
        """No write comes after this. clean: the guest has shut down, and its file systems are clean."""
        self._halt(clean)
        if self.keep:
            for disk in self.vm.disks:
                _copy(disk, os.path.join(self.keep, f"{disk.key}.img"))

    def snapshot_taken(self):
        if self.vm.state.on:
            for writer in self.writers:
                writer.snapshot_taken()

    def _halt(self, clean):
        for writer in self.writers:
            writer.stop(clean)


def _copy(disk, path):
    """The content, with its holes."""
    with disk.lock, open(path + ".partial", "wb") as file:
        file.truncate(disk.size)
        for start, end in data_ranges(disk.fd, disk.size):
            for at in range(start, end, 1 << 20):
                write_all(file.fileno(), read_all(disk.fd, min(1 << 20, end - at), at), at)
    os.rename(path + ".partial", path)
