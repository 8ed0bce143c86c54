# SPDX-License-Identifier: BSD-3-Clause
"""The guest: it alone changes the disk, so that the content at any instant is known."""

from soak_parts.violation import BLOCK

SIZE = (3 << 20) + 1536


class Guest:
    def __init__(self, seed_bytes):
        """Makes live.img: data, zeroes and a hole."""
        self.disk = bytearray(SIZE)
        self.disk[:SIZE // 2] = seed_bytes(SIZE // 2)
        self.disk[-7:] = b"the end"
        with open("live.img", "wb") as file:
            file.write(self.disk[:SIZE // 2])
            file.seek(SIZE - 7)
            file.write(b"the end")
        self.vcenter = None  # set once it serves the disk

    def content(self):
        return bytes(self.disk)

    def write(self, rng, low=0, high=SIZE):
        """A few random writes and trims within [low, high)."""
        for _ in range(rng.randrange(1, 9)):
            length = rng.choice((1, 513, 4096, BLOCK, rng.randrange(1, 200000)))
            offset = rng.randrange(low, high)
            if rng.random() < 0.3:
                offset = max(low, offset // BLOCK * BLOCK)
            length = min(length, high - offset)
            kind = rng.choice(("data", "data", "data", "zeroes", "trim"))
            if kind == "trim":
                self.vcenter.unmap(offset, length)
                self.disk[offset:offset + length] = bytes(length)
            else:
                self._put(offset, rng.randbytes(length) if kind == "data" else bytes(length))

    def rewrite(self, rng):
        """Everything becomes different."""
        self._put(0, rng.randbytes(SIZE))

    def _put(self, offset, data):
        self.vcenter.write(offset, data)
        self.disk[offset:offset + len(data)] = data
