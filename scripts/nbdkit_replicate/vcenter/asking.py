# SPDX-License-Identifier: BSD-3-Clause
"""The programs of this folder, as nbdkit-replicate starts them, and the errors that they answer."""
import asyncio
import importlib.util
import json
import os
import sys
from asyncio.subprocess import PIPE
from typing import Any

from ..messages import Failure, Refused
from ..plan.plan import VCenter


LOGOUT = 5.0  # seconds


class Away(Failure):
    """It cannot be reached now."""


class NoTools(Failure):
    """VMware Tools do not run in the guest, so that it cannot be asked to shut down."""


class WrongPower(Failure):
    """The machine is not in the power state in which this can be done."""


class Gone(Failure):
    """There is no such virtual machine, or not any more."""


class Busy(Failure):
    """The machine has had another task all the time. It can be asked again."""


_KINDS: dict[str, type[Failure]] = {
    "refused": Refused, "away": Away, "tools": NoTools, "power": WrongPower, "gone": Gone, "busy": Busy}


def can_ask() -> bool:
    return importlib.util.find_spec("pyVmomi") is not None


async def start(program: str) -> asyncio.subprocess.Process:
    """Its process group is its own: Ctrl-C on a terminal reaches nbdkit-replicate alone."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-B", "-m", f"nbdkit_replicate.vcenter.{program}", stdin=PIPE, stdout=PIPE, process_group=0,
        limit=1 << 26, env={**os.environ, "PYTHONPATH": package})


async def leave(process: asyncio.subprocess.Process) -> None:
    """It ends, and logs out before that if this takes no longer than LOGOUT: its standard input ends. A program that is killed
    leaves its session to the server, which keeps it for half an hour, and only so many of them."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(LOGOUT):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        await end(process)


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def answer_of(vcenter: VCenter, output: bytes) -> dict[str, Any]:
    """Raises what the program's error means: Refused, Away and so on, or Failure."""
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        raise Failure(f"{about(vcenter)} could not be asked, see above") from None
    if "error" in answer:
        raise _KINDS.get(answer["kind"], Failure)(f"{about(vcenter)}: {answer['error']}")
    return answer


def silent(vcenter: VCenter, seconds: float) -> Away:
    return Away(f"{about(vcenter)} has not answered for {seconds:.0f} seconds")


def about(vcenter: VCenter) -> str:
    return f"vCenter {vcenter.name} ({vcenter.server})" if vcenter.name else f"vCenter {vcenter.server}"
