# SPDX-License-Identifier: BSD-3-Clause
"""nbdkit as the model starts and ends it."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field

from .violation import Violation

LIMIT = 120  # seconds that anything may take


@dataclass
class Server:
    """nbdkit on NAME.sock."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen | None = None

    def start(self) -> None:
        for leftover in (f"{self.name}.sock", f"{self.name}.ready"):
            if os.path.exists(leftover):
                os.unlink(leftover)
        head = ["nbdkit", "-fv", "-U", f"{self.name}.sock", "-P", f"{self.name}.ready"]
        with open(f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(head + self.command, stdout=log, stderr=log,
                                            env={**os.environ, **self.environment})
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

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def has_said(self, text: str) -> bool:
        with open(f"{self.name}.log", encoding="utf-8", errors="replace") as log:
            return text in log.read()

    @property
    def uri(self) -> str:
        return f"nbd+unix:///?socket={os.getcwd()}/{self.name}.sock"
