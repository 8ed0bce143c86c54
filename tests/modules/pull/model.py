#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""model.py ROUNDS [SEED]: clients of a pull server against a plain model, while things go wrong.

In each round three clients read, write, zero, trim and flush at the same time, each in blocks of its own that lie
between those of the others. Meanwhile the source is slow, is killed and comes back, and the server is killed with
SIGKILL or ended with SIGTERM, and started again with the same command. What was flushed must be there, what is read
must be what was written or what the source has; in the end nothing is owed, the source is not needed any more, and
the disk is the source with the writes over it. Runs in the current directory; BUILD is the build directory.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import nbd

BUILD = os.environ["BUILD"]
PULL = f"{BUILD}/filters/pull/nbdkit-pull-filter.so"
QCOW2 = f"{BUILD}/plugins/qcow2/nbdkit-qcow2-plugin.so"
SECTOR, BLOCK, CLIENTS = 512, 12 * 512, 3
LIMIT = 120  # seconds that anything may take


class Violation(Exception):
    """What must not be."""


@dataclass
class Server:
    """nbdkit on NAME.sock."""

    name: str
    command: list[str]
    process: subprocess.Popen | None = None

    def start(self) -> None:
        for leftover in (f"{self.name}.sock", f"{self.name}.ready"):
            if os.path.exists(leftover):
                os.unlink(leftover)
        head = ["nbdkit", "-fv", "-U", f"{self.name}.sock", "-P", f"{self.name}.ready"]
        with open(f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(head + self.command, stdout=log, stderr=log)
        end = time.monotonic() + LIMIT
        while not os.path.exists(f"{self.name}.ready"):
            if self.process.poll() is not None or time.monotonic() > end:
                raise Violation(f"{self.name} does not start")
            time.sleep(0.005)

    def end(self, with_signal: int) -> None:
        self.process.send_signal(with_signal)
        status = self.process.wait(LIMIT)
        if with_signal == signal.SIGTERM and status != 0:
            raise Violation(f"{self.name} ended with {status}")

    @property
    def uri(self) -> str:
        return f"nbd+unix:///?socket={os.getcwd()}/{self.name}.sock"


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


def make_source(generator: random.Random) -> bytes:
    size = generator.randint(2_000_000, 6_000_000)
    disk = bytearray(generator.randbytes(size))
    for _ in range(generator.randrange(6)):
        start = generator.randrange(size)
        length = generator.randint(1, 500_000)
        disk[start:start + length] = bytes(len(disk[start:start + length]))
    with open("source.raw", "wb") as f:
        for start in range(0, size, 65536):
            part = disk[start:start + 65536]
            f.seek(start)
            if any(part):
                f.write(part)
        f.truncate(size)
    return bytes(disk)


class Round:
    def __init__(self, number: int, seed: int):
        self.generator = random.Random(f"{seed} {number}")
        self.source_bytes = make_source(self.generator)
        for leftover in ("disk.raw", "disk.qcow2", "state", "pull.log"):
            if os.path.exists(leftover):
                os.unlink(leftover)
        delay = self.generator.choice(["0", "1ms", "5ms"])
        self.source = Server("source", ["-r", "--filter=delay", "file", "source.raw", f"rdelay={delay}"])
        self.server = Server("pull", [f"--filter={PULL}", *self.layer_below(), *self.parameters()])
        self.source.start()
        self.server.start()
        self.clients = [Client(i, self.source_bytes, random.Random(f"{seed} {number} {i}")) for i in range(CLIENTS)]

    def layer_below(self) -> list[str]:
        size = len(self.source_bytes)
        kind = self.generator.choice(["file", "qcow2", "noparallel", "multi-conn"])
        if kind == "qcow2":
            return [QCOW2, "file=disk.qcow2", f"size={(size + 511) // 512 * 512}"]
        with open("disk.raw", "wb") as f:
            f.truncate(size)
        if kind == "noparallel":
            return ["--filter=noparallel", "file", "disk.raw", self.generator.choice(
                ["serialize=requests", "serialize=all-requests"])]
        if kind == "multi-conn":
            return ["--filter=multi-conn", "file", "disk.raw", "multi-conn-mode=disable"]
        return ["file", "disk.raw"]

    def parameters(self) -> list[str]:
        rate = self.generator.choice(["0", "500K", "5M"])
        return [f"pull-from={self.source.uri}", f"pull-state={os.getcwd()}/state", "pull-chunk=64K", "pull-workers=4",
                "pull-memory=512K", f"pull-rate={rate}", "pull-retries=1", "pull-retry-delay=0.1", "pull-retry-max=0.2",
                f"pull-priority={self.generator.randrange(1_000_000)}-2M"]

    def work(self, event) -> None:
        for client in self.clients:
            client.connect(self.server.uri)
        steps = self.generator.randint(20, 200)
        threads = [threading.Thread(target=c.run, args=(steps,)) for c in self.clients]
        for thread in threads:
            thread.start()
        event()
        for thread in threads:
            thread.join(LIMIT)
            if thread.is_alive():
                raise Violation("a client hangs")
        for client in self.clients:
            if client.violation:
                raise Violation(client.violation)

    def pause(self) -> None:
        time.sleep(self.generator.random() * 0.2)

    def source_lost(self) -> None:
        self.pause()
        self.source.end(signal.SIGKILL)
        self.pause()
        self.source.start()

    def killed(self) -> None:
        self.pause()
        self.server.end(signal.SIGKILL)

    def ended(self) -> None:
        self.pause()
        self.server.end(signal.SIGTERM)

    def disk(self) -> bytes:
        """All of it, as a client reads it."""
        end = time.monotonic() + LIMIT
        while True:
            try:
                handle = nbd.NBD()
                handle.connect_uri(self.server.uri)
                size = len(self.source_bytes)
                return b"".join(bytes(handle.pread(min(1 << 20, size - at), at)) for at in range(0, size, 1 << 20))
            except nbd.Error:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def run(self) -> None:
        try:
            for _ in range(self.generator.randint(1, 4)):
                event = self.generator.choice([lambda: None, self.source_lost, self.killed, self.killed, self.ended])
                self.work(event)
                if self.server.process.poll() is not None:
                    self.server.start()
                    disk = self.disk()
                    for client in self.clients:
                        client.after_crash(disk)
            self.finish()
        finally:
            for server in (self.server, self.source):
                if server.process.poll() is None:
                    server.process.kill()
                    server.process.wait(LIMIT)

    def finish(self) -> None:
        end = time.monotonic() + LIMIT
        while json.load(open("state"))["owed"]:
            if time.monotonic() > end:
                raise Violation("something stays owed")
            for client in self.clients:
                client.connect(self.server.uri)
                client.handle.flush()
                client.handle = None
            time.sleep(0.1)
        while b"connections to the source are closed" not in open("pull.log", "rb").read():
            if b"nothing is owed; the source is not needed" in open("pull.log", "rb").read():
                break
            if time.monotonic() > end:
                raise Violation("the connections to the source are not closed")
            time.sleep(0.02)
        self.source.end(signal.SIGTERM)
        for restart in (False, True):
            if restart:
                self.server.end(signal.SIGTERM)
                self.server.start()
            disk = self.disk()
            for client in self.clients:
                client.after_crash(disk)
            expected = bytearray(self.source_bytes)
            for block in range(len(expected) // BLOCK):
                of = self.clients[block % CLIENTS].now
                expected[block * BLOCK:(block + 1) * BLOCK] = of[block * BLOCK:(block + 1) * BLOCK]
            if disk != expected:
                raise Violation("the disk is not the source with the writes over it")


def main() -> int:
    rounds = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    for number in range(rounds):
        try:
            Round(number, seed).run()
        except (Violation, nbd.Error, subprocess.TimeoutExpired) as e:
            print(f"round {number} of seed {seed}: {e}")
            return 1
    print(f"{rounds} rounds of seed {seed}: all is right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
