# SPDX-License-Identifier: BSD-3-Clause
"""An ext4 file system on a disk: where its files are, and whether it is clean.

Offsets of fields: https://www.kernel.org/doc/html/latest/filesystems/ext4/globals.html#super-block
"""

import struct
import subprocess

SUPERBLOCK, LENGTH = 1024, 1024
STATE, VALID = 0x3A, 1  # s_state
COMPAT, HAS_JOURNAL = 0x5C, 4
INCOMPAT, RECOVER = 0x60, 4  # the journal is to be replayed: so it is while a file system is mounted
RO_COMPAT, METADATA_CSUM = 0x64, 0x400
CHECKSUM = 0x3FC


class Superblock:
    def __init__(self, disk):
        self.disk = disk

    def mounted(self, on):
        """As the kernel marks it: while it is mounted it is not clean."""
        block = bytearray(self.disk.read(None, SUPERBLOCK, LENGTH))
        if _get(block, 0x38, "<H") != 0xEF53:
            raise ValueError("the disk has no ext4 file system")
        if _get(block, COMPAT) & HAS_JOURNAL:
            _set_bit(block, INCOMPAT, RECOVER, on)
        _set_bit(block, STATE, VALID, not on, "<H")
        if _get(block, RO_COMPAT) & METADATA_CSUM:
            struct.pack_into("<I", block, CHECKSUM, crc32c(block[:CHECKSUM]))
        self.disk.write(SUPERBLOCK, bytes(block))


def areas_of_files(path, names):
    """[(offset, length)] of files in the ext4 file system that the raw file PATH has. Nobody may change it meanwhile."""
    result = []
    for name in names:
        done = subprocess.run(["debugfs", "-R", f"blocks {name}", path], capture_output=True, text=True, timeout=30,
                              check=False)
        numbers = [int(word) for word in done.stdout.split() if word.isdecimal()]
        if done.returncode != 0 or not numbers:
            raise ValueError(f"debugfs: {name}: {done.stderr.strip()}")
        size = _block_size(path)
        for number in numbers:
            if result and sum(result[-1]) == number * size:
                result[-1] = (result[-1][0], result[-1][1] + size)
            else:
                result.append((number * size, size))
    return result


def crc32c(data):
    """As ext4 has it: begun with all ones, and not inverted at the end."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


def _block_size(path):
    with open(path, "rb") as file:
        file.seek(SUPERBLOCK)
        return 1024 << _get(file.read(LENGTH), 0x18)


def _get(block, offset, form="<I"):
    return struct.unpack_from(form, block, offset)[0]


def _set_bit(block, offset, bit, on, form="<I"):
    value = _get(block, offset, form)
    struct.pack_into(form, block, offset, value | bit if on else value & ~bit)
