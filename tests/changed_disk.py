# SPDX-License-Identifier: BSD-3-Clause
#
# Today's disk out of yesterday's, base.raw, for tests of increments.
import random

K = 1024


class ChangedDisk:
    def __init__(self):
        self.bytes = bytearray(open("base.raw", "rb").read())
        self.changes = []  # (offset, length, kind as nbdkit-extentlist-filter calls it)
        self.new = random.Random(2)

    def data(self, offset, length):
        self.bytes[offset:offset + length] = self.new.randbytes(length)
        self.changes.append((offset, length, ""))

    def zeroes(self, offset, length, kind):
        self.bytes[offset:offset + length] = bytes(length)
        self.changes.append((offset, length, kind))

    def save(self):
        """disk.raw, and `honest`: what an honest source says of it, as an extent list."""
        self.changes.sort()
        at, lines = 0, []
        for offset, length, kind in self.changes:
            if at < offset:
                lines.append(f"{at} {offset - at} hole")
            lines.append(f"{offset} {length} {kind}")
            at = offset + length
        if at < len(self.bytes):
            lines.append(f"{at} {len(self.bytes) - at} hole")
        open("honest", "w").write("\n".join(lines) + "\n")
        open("disk.raw", "wb").write(self.bytes)
