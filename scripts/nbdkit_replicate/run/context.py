# SPDX-License-Identifier: BSD-3-Clause
"""What the copies of all disks have in common during a run."""
import os
from dataclasses import dataclass

from ..programs.server import Server
from .interruption import Interruption
from .progress import Progress


@dataclass(frozen=True)
class RunContext:
    source: Server
    directory: str  # for sockets and temporary files; nobody else can enter it
    interruption: Interruption
    progress: Progress | None  # None: a single disk, whose nbdcopy shows its own progress
    target_password: str | None

    def file(self, name: str) -> str:
        return os.path.join(self.directory, name)
