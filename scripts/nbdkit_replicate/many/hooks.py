# SPDX-License-Identifier: BSD-3-Clause
"""Programs of the user that are run before and after a machine."""
import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from typing import Any

from ..messages import warn

GRACE = 5.0  # seconds between SIGTERM and SIGKILL


async def run_hook(name: str, command: Sequence[str], facts: Mapping[str, Any], deadline: float) -> None:
    """facts: what is written to its standard input, as JSON. That it has failed, or has not ended within `deadline` seconds, is
    a warning."""
    if command:
        failure = await run_program(command, facts, deadline)
        if failure:
            warn(f"the hook {name} {failure}")


async def run_program(command: Sequence[str], facts: Mapping[str, Any], deadline: float | None,
                      environment: Mapping[str, str] | None = None) -> str:
    """Returns how it has failed; "" if it has not. What it writes itself goes to standard error. deadline: seconds; None: there
    is none. Nothing that it has started is left after it was ended. environment: besides our own."""
    text = json.dumps(facts) + "\n"
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=sys.stderr.fileno(), stderr=sys.stderr.fileno(), process_group=0,
            env={**os.environ, **environment} if environment else None)
    except OSError as e:
        return f"cannot be started: {command[0]}: {e.strerror}"
    try:
        async with asyncio.timeout(deadline):
            await process.communicate(text.encode())
    except TimeoutError:
        await _end(process)
        return f"has not ended within {deadline:.0f} seconds and was killed: {command[0]}"
    except BaseException:
        await asyncio.shield(_end(process))
        raise
    if process.returncode:
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"status {process.returncode}"
        return f"ended with {how}: {command[0]}"
    return ""


async def _end(process: asyncio.subprocess.Process) -> None:
    """With its process group, which is its own."""
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            await process.wait()
    _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
