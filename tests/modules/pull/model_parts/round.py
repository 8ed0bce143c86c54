# SPDX-License-Identifier: BSD-3-Clause
"""One round: a source, a pull server, its clients, and what goes wrong meanwhile."""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import nbd
from soak_parts.storage import Storage

from .client import BLOCK, CLIENTS, Client
from .server import LIMIT, Server
from .source import make_source, source_command
from .violation import Violation

BUILD = os.environ["BUILD"]
PULL = f"{BUILD}/filters/pull/nbdkit-pull-filter.so"
QCOW2 = f"{BUILD}/plugins/qcow2/nbdkit-qcow2-plugin.so"


class Round:
    def __init__(self, number: int, seed: int):
        self.generator = random.Random(f"{seed} {number}")
        for leftover in ("disk", "disk.synced"):
            shutil.rmtree(leftover, ignore_errors=True)
        if os.path.exists("pull.log"):
            os.unlink("pull.log")
        self.storage = Storage("disk")
        self.source_bytes = make_source(self.generator)
        self.source = Server("source", source_command(self.generator))
        self.server = Server("pull", [f"--filter={PULL}", *self.layer_below(), *self.parameters()],
                             self.storage.environment())
        self.clients = [Client(i, self.source_bytes, random.Random(f"{seed} {number} {i}")) for i in range(CLIENTS)]
        self.happened: list[str] = []

    def layer_below(self) -> list[str]:
        size = len(self.source_bytes)
        kind = self.generator.choice(["file", "qcow2", "noparallel", "multi-conn"])
        if kind == "qcow2":
            return [QCOW2, f"file={self.storage.file('disk.qcow2')}", f"size={(size + 511) // 512 * 512}"]
        path = self.storage.file("disk.raw")
        with open(path, "wb") as f:
            f.truncate(size)
        self.storage.all_synced()
        if kind == "noparallel":
            return ["--filter=noparallel", "file", path, self.generator.choice(
                ["serialize=requests", "serialize=all-requests"])]
        if kind == "multi-conn":
            return ["--filter=multi-conn", "file", path, "multi-conn-mode=disable"]
        return ["file", path]

    def parameters(self) -> list[str]:
        rate = self.generator.choice(["0", "500K", "5M"])
        return [f"pull-from={self.source.uri}", f"pull-state={self.storage.file('state')}", "pull-chunk=64K",
                "pull-workers=4", "pull-memory=512K", f"pull-rate={rate}", "pull-retries=1", "pull-retry-delay=0.1",
                "pull-retry-max=0.2", f"pull-priority={self.generator.randrange(1_000_000)}-2M"]

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

    # What may happen while the clients work.

    def nothing(self) -> None:
        pass

    def source_killed(self) -> None:
        self.pause()
        self.source.end(signal.SIGKILL)
        self.pause()
        self.source.start()

    def source_restarted(self) -> None:
        """nbdkit waits for clients that ask for nothing, so it is killed after a while."""
        self.pause()
        self.source.process.send_signal(signal.SIGTERM)
        try:
            self.source.process.wait(1)
        except subprocess.TimeoutExpired:
            self.source.end(signal.SIGKILL)
        self.pause()
        self.source.start()

    def source_fails(self) -> None:
        """A part of what it is asked."""
        self.pause()
        with open("failing", "wb"):
            pass
        self.pause()
        os.unlink("failing")

    def killed(self) -> None:
        self.pause()
        self.server.end(signal.SIGKILL)

    def ended(self) -> None:
        self.pause()
        self.server.end(signal.SIGTERM)

    def power_lost(self) -> None:
        """Of what was not synced, a random part is there."""
        self.killed()
        self.storage.lose(self.generator)

    def events(self) -> list:
        chosen = os.environ.get("EVENTS")
        if chosen:
            return [getattr(self, name) for name in chosen.split(",")]
        return [self.nothing, self.source_killed, self.source_restarted, self.source_fails, self.killed, self.ended,
                self.power_lost, self.power_lost]

    def disk(self) -> bytes:
        """All of it, as a client reads it, and flushes it: what was found stays."""
        end = time.monotonic() + LIMIT
        while True:
            try:
                handle = nbd.NBD()
                handle.connect_uri(self.server.uri)
                size = len(self.source_bytes)
                content = b"".join(bytes(handle.pread(min(1 << 20, size - at), at)) for at in range(0, size, 1 << 20))
                handle.flush()
                return content
            except nbd.Error:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def check_after_crash(self) -> None:
        disk = self.disk()
        for client in self.clients:
            client.after_crash(disk)

    def run(self) -> None:
        try:
            self.source.start()
            self.server.start()
            for _ in range(self.generator.randint(1, 4)):
                event = self.generator.choice(self.events())
                self.happened.append(event.__name__)
                self.work(event)
                if not self.server.runs():
                    self.server.start()
                    self.check_after_crash()
            self.finish()
        finally:
            for server in (self.server, self.source):
                if server.runs():
                    server.process.kill()
                    server.process.wait(LIMIT)

    def owed(self) -> list:
        with open(self.storage.file("state"), encoding="utf-8") as state:
            return json.load(state)["owed"]

    def finish(self) -> None:
        """In the end nothing is owed, the source is let go, and the disk is right, also after another start."""
        self.complete()
        self.source.end(signal.SIGTERM)
        self.check_whole()
        self.server.end(signal.SIGTERM)
        self.server.start()
        self.check_whole()

    def complete(self) -> None:
        end = time.monotonic() + LIMIT
        while self.owed():
            if time.monotonic() > end:
                raise Violation("something stays owed")
            for client in self.clients:
                client.connect(self.server.uri)
                client.handle.flush()
                client.handle = None
            time.sleep(0.1)
        while not self.server.has_said("connections to the source are closed"):
            if self.server.has_said("nothing is owed; the source is not needed"):
                break
            if time.monotonic() > end:
                raise Violation("the connections to the source are not closed")
            time.sleep(0.02)

    def check_whole(self) -> None:
        disk = self.disk()
        for client in self.clients:
            client.after_crash(disk)
        expected = bytearray(self.source_bytes)
        for block in range(len(expected) // BLOCK):
            of = self.clients[block % CLIENTS].now
            expected[block * BLOCK:(block + 1) * BLOCK] = of[block * BLOCK:(block + 1) * BLOCK]
        if disk != expected:
            raise Violation("the disk is not the source with the writes over it")
