# SPDX-License-Identifier: BSD-3-Clause
"""One client of the pull server, and what it knows of the disk."""

import random
from dataclasses import dataclass, field

import nbd

from .violation import Violation

SECTOR, BLOCK, CLIENTS = 512, 12 * 512, 3


@dataclass
class Client:
    """One client: `now` is what its blocks hold, `may` what each sector may hold after a crash."""

    number: int
    source: bytes
    generator: random.Random
    now: bytearray = field(init=False)
    may: dict[int, list[bytes]] = field(default_factory=dict)
    handle: nbd.NBD | None = None
    reads_that_failed: int = 0
    violation: str = ""

    def __post_init__(self) -> None:
        self.now = bytearray(self.source)

    def connect(self, uri: str) -> None:
        self.handle = nbd.NBD()
        self.handle.connect_uri(uri)

    def place(self) -> tuple[int, int]:
        """A part of one of its blocks."""
        blocks = len(self.now) // BLOCK
        block = self.generator.randrange(self.number, blocks, CLIENTS) * BLOCK
        first = self.generator.randrange(BLOCK)
        return block + first, self.generator.randint(1, BLOCK - first)

    def sectors(self, offset: int, count: int) -> range:
        return range(offset // SECTOR, (offset + count - 1) // SECTOR + 1)

    def sector(self, number: int) -> bytes:
        return bytes(self.now[number * SECTOR:(number + 1) * SECTOR])

    def change(self, offset: int, data: bytes) -> None:
        for number in self.sectors(offset, len(data)):
            self.may.setdefault(number, [self.sector(number)])
        self.now[offset:offset + len(data)] = data
        for number in self.sectors(offset, len(data)):
            self.may[number].append(self.sector(number))

    def check(self, offset: int, data: bytes) -> None:
        if data != self.now[offset:offset + len(data)]:
            wrong = next(i for i in range(len(data)) if data[i] != self.now[offset + i])
            raise Violation(f"client {self.number}: wrong byte at {offset + wrong} (read {len(data)} at {offset})")

    def step(self) -> None:
        """One request. An nbd.Error of anything but a read goes to the caller."""
        what = self.generator.random()
        if what < 0.45:
            self.read(*self.place())
        elif what < 0.93:
            self.change_some(is_zero=what > 0.85)
        elif what < 0.97:
            self.handle.flush()
            self.may.clear()
        else:
            self.read_across()

    def change_some(self, is_zero: bool) -> None:
        offset, count = self.place()
        flags = nbd.CMD_FLAG_FUA if self.generator.random() < 0.1 else 0
        if is_zero:
            self.change(offset, bytes(count))
            request = self.handle.zero if self.generator.random() < 0.5 else self.handle.trim
            request(count, offset, flags)
        else:
            data = self.generator.randbytes(count)
            self.change(offset, data)
            self.handle.pwrite(data, offset, flags)
        if flags == 0:
            return
        for number in self.sectors(offset, count):
            # The parts of its first and last sector that it has not written may be from before.
            if number * SECTOR >= offset and (number + 1) * SECTOR <= offset + count:
                self.may.pop(number, None)

    def read_some(self, offset: int, count: int) -> bytes | None:
        """Nothing if the source is away, which a client cannot know."""
        try:
            return bytes(self.handle.pread(count, offset))
        except nbd.Error:
            self.reads_that_failed += 1
            if self.handle.aio_is_dead() or self.handle.aio_is_closed():
                raise
            return None

    def read(self, offset: int, count: int) -> None:
        data = self.read_some(offset, count)
        if data is not None:
            self.check(offset, data)

    def read_across(self) -> None:
        """Reads over several chunks, and looks at what is its own."""
        start = self.generator.randrange(len(self.now) // BLOCK) * BLOCK
        count = min(self.generator.randint(1, 400_000), len(self.now) - start)
        data = self.read_some(start, count)
        if data is None:
            return
        for block in range(start // BLOCK, (start + count) // BLOCK):
            if block % CLIENTS == self.number:
                self.check(block * BLOCK, data[block * BLOCK - start:(block + 1) * BLOCK - start])

    def run(self, steps: int) -> None:
        try:
            for _ in range(steps):
                self.step()
        except nbd.Error as e:
            gone = self.handle.aio_is_dead() or self.handle.aio_is_closed() or e.errno == "ESHUTDOWN"
            if not gone:
                self.violation = f"client {self.number}: {e}"
        except Violation as e:
            self.violation = str(e)
        self.handle = None  # nbdkit waits for idle clients before it ends

    def after_crash(self, disk: bytes) -> None:
        """Each sector holds what it held at the last flush, or something that was written since."""
        for number, contents in self.may.items():
            found = disk[number * SECTOR:(number + 1) * SECTOR]
            if found not in contents and not self.is_mixture(found, contents):
                raise Violation(f"client {self.number}: sector {number} holds what was never flushed there")
            self.now[number * SECTOR:(number + 1) * SECTOR] = found
        for block in range(self.number, len(self.now) // BLOCK, CLIENTS):
            self.check(block * BLOCK, disk[block * BLOCK:(block + 1) * BLOCK])
        self.may.clear()

    @staticmethod
    def is_mixture(found: bytes, contents: list[bytes]) -> bool:
        """A request that was under way may have changed a part of a sector."""
        return all(any(c[i] == byte for c in contents) for i, byte in enumerate(found))
