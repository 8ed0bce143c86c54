# SPDX-License-Identifier: BSD-3-Clause
"""The server of the further destination, which may go away, be full, or lose power."""

import os

from soak_parts import processes
from soak_parts.guest import SIZE
from soak_parts.storage import Storage


class DrServer:
    """nbdkit with a raw file."""

    NAME = "dr"

    def __init__(self):
        self.storage = Storage("dr")
        self.file = self.storage.file("disk.raw")
        self.socket = os.path.abspath("dr.sock")
        self.log = open("dr.log", "ab")
        self.process = None
        self.empty()

    @property
    def uri(self):
        return f"nbd+unix:///?socket={self.socket}"

    def start(self):
        if self.process is not None:
            return
        for name in (self.socket, "dr.ready"):
            if os.path.exists(name):
                os.unlink(name)
        self.process = processes.start(["nbdkit", "-f", "-U", self.socket, "-P", "dr.ready", "file", self.file],
                                       self.log, **self.storage.environment())
        processes.until(lambda: os.path.exists("dr.ready") and os.path.getsize("dr.ready") > 0 or
                        self.process.poll() is not None, "the start of the DR server")

    def stop(self):
        """At once, by SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def empty(self):
        """A new disk; it must not run."""
        self.storage.clear()
        with open(self.file, "wb") as file:
            file.truncate(SIZE)
        self.storage.all_synced()

    def content(self):
        with open(self.file, "rb") as file:
            return file.read()
