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
    """facts: what is written to its standard input, as JSON. What it writes itself goes to standard error. That it has
    failed, or has not ended within `deadline` seconds, is a warning. Nothing that it has started is left after that."""
    if not command:
        return
    text = json.dumps(facts) + "\n"
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=sys.stderr.fileno(), stderr=sys.stderr.fileno(), process_group=0)
    except OSError as e:
        warn(f"the hook {name} cannot be started: {command[0]}: {e.strerror}")
        return
    try:
        async with asyncio.timeout(deadline):
            await process.communicate(text.encode())
    except TimeoutError:
        await _end(process)
        warn(f"the hook {name} has not ended within {deadline:.0f} seconds and was killed: {command[0]}")
        return
    except BaseException:
        await asyncio.shield(_end(process))
        raise
    if process.returncode:
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"status {process.returncode}"
        warn(f"the hook {name} ended with {how}: {command[0]}")


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
