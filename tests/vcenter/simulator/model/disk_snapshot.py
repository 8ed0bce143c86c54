# SPDX-License-Identifier: BSD-3-Clause
"""The snapshot of one disk, with the old content of the blocks that were written after it."""

import os

from simulator.model.areas import BLOCK
from simulator.model.sparse import read_all, write_all


class DiskSnapshot:
    """Not synchronised: the disk's lock protects it."""

    def __init__(self, file_name, size, allocated, uuid, epoch, saved_path):
        self.file_name = file_name  # of the VMDK that became read-only with the snapshot
        self.size = size
        self.allocated = allocated
        self.uuid, self.epoch = uuid, epoch  # of the change tracking; None while it was off
        self.saved = set()  # numbers of the blocks in the file, which are at their places on the disk
        self.fd = os.open(saved_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.unlink(saved_path)

    @property
    def change_id(self):
        return None if self.uuid is None else f"{self.uuid}/{self.epoch}"

    def save(self, block, data):
        write_all(self.fd, data, block * BLOCK)
        self.saved.add(block)

    def read(self, offset, length):
        """Bytes of saved blocks."""
        return read_all(self.fd, length, offset)

    def close(self):
        os.close(self.fd)
