# SPDX-License-Identifier: BSD-3-Clause
"""A program that has been started."""
import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Collection, Sequence


class Process:
    """Its process group is its own, so that Ctrl-C on the terminal reaches nbdkit-replicate and not the programs:
    it ends them in the right order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str], inherited: Collection[int] = (),
                    read_output: bool = False) -> "Process":
        """inherited: file descriptors that stay open in the program. If this is cancelled, the program is killed."""
        return cls(await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE if read_output else None, pass_fds=inherited, process_group=0))

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    async def wait(self) -> int:
        """Returns the exit status; that of a program that was killed by signal N is -N."""
        return await self._process.wait()

    async def read_output(self) -> bytes:
        """All of it; the program has closed it when this returns."""
        assert self._process.stdout is not None
        return await self._process.stdout.read()

    def _send(self, number: signal.Signals) -> None:
        # Not by asyncio's send_signal(), which may itself take the exit status that asyncio waits for.
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


def outcome(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
