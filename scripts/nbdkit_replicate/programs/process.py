# SPDX-License-Identifier: BSD-3-Clause
"""A program that has been started."""
import asyncio
import contextlib
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Collection, Sequence

from ..messages import Failure
from .errors import Errors

# Starts "$@" so that it gets SIGTERM when the process with the number $0, its parent, ends, also if that is killed.
# setpriv asks the kernel for the signal, which stays asked for when another program is executed. If the parent has
# ended before that, the shell has another parent, and nothing is started: there is no moment in between.
_BOUND_TO_PARENT = ("setpriv", "--pdeathsig", "TERM", "sh", "-c", '[ "$PPID" = "$0" ] || exit; exec "$@"')


class Process:
    """It is sent SIGTERM when nbdkit-replicate ends, also if that is killed.

    Its process group is its own, so that Ctrl-C on the terminal reaches nbdkit-replicate and not the programs: it
    ends them in the right order.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str], inherited: Collection[int] = (), read_output: bool = False,
                    errors: Errors | None = None) -> "Process":
        """inherited: file descriptors that stay open in the program. errors: reads its standard error.

        Must run in the main thread, as the kernel takes the end of the thread that starts a program for the parent's.
        If this is cancelled, the program is killed. Throws Failure if a program is not there.
        """
        for program in command[0], *_BOUND_TO_PARENT[:1]:
            if shutil.which(program) is None:
                raise Failure(f"{program} cannot be started: there is no such program in PATH; install it")
        words = bound_to_parent(command)
        # SIGPIPE stays ignored, as it is in Python: if nbdkit-replicate is killed, a server that writes a message while
        # it starts does not end by that before it has removed its snapshot.
        with errors.passed() if errors else contextlib.nullcontext() as errors_to:
            return cls(await asyncio.create_subprocess_exec(
                *words, stdin=DEVNULL, stdout=PIPE if read_output else None, stderr=errors_to, pass_fds=inherited,
                process_group=0, restore_signals=False))

    @property
    def id(self) -> int:
        return self._process.pid

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


def bound_to_parent(command: Sequence[str]) -> list[str]:
    """Gets SIGTERM when this process ends."""
    return [*_BOUND_TO_PARENT, str(os.getpid()), *command]


def outcome(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
