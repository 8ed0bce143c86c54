# SPDX-License-Identifier: BSD-3-Clause
"""Arithmetic of byte areas in blocks of 64 KiB, the granularity of change tracking."""

BLOCK = 64 * 1024


def blocks_of(offset, length):
    """The numbers of the blocks that [offset, offset+length) overlaps."""
    if length <= 0:
        return range(0)
    return range(offset // BLOCK, (offset + length - 1) // BLOCK + 1)


def areas_of(blocks, start, end):
    """Sorted block numbers -> sorted [(start, length)], neighbours joined, clipped to [start, end)."""
    areas = []
    for block in blocks:
        low, high = max(block * BLOCK, start), min((block + 1) * BLOCK, end)
        if low >= high:
            continue
        if areas and sum(areas[-1]) == low:
            areas[-1] = (areas[-1][0], areas[-1][1] + high - low)
        else:
            areas.append((low, high - low))
    return areas


class BlockMap:
    """A flag for each block of a disk: which ones are allocated."""

    def __init__(self, size, flags=None):
        count = (size + BLOCK - 1) // BLOCK
        self.flags = bytearray(count) if flags is None else bytearray(flags)
        self.flags.extend(bytes(max(0, count - len(self.flags))))

    def set(self, blocks, value=1):
        for block in blocks:
            self.flags[block] = value

    def copy(self):
        return BlockMap(0, self.flags)

    def blocks(self, start, end):
        """The numbers of the blocks that are set and overlap [start, end), in order."""
        overlapping = blocks_of(start, end - start)
        block = self.flags.find(1, overlapping.start, overlapping.stop)
        while block >= 0:
            yield block
            block = self.flags.find(1, block + 1, overlapping.stop)
