# SPDX-License-Identifier: BSD-3-Clause
"""One virtual machine of a vCenter Server or ESXi host: whether it runs, shutting it down and starting it, what it is made of.

    async with Session(vcenter) as session:
        machine = await session.machine("/DC0/vm/web1")
        if (await machine.power_state()).on:
            await machine.shutdown_guest()
            await machine.wait_for(State.OFF, 300)

Everything has a deadline. What fails raises a Failure of asking.py: Away (ask again), Refused, NoTools, WrongPower, Gone, Busy.
"""
import asyncio
import dataclasses
import enum
import json
import time
from dataclasses import dataclass
from typing import Any

from ..messages import Refused
from ..plan.plan import VCenter
from . import asking
from .asking import Away, Busy, Gone, NoTools, WrongPower, can_ask

__all__ = ["Away", "Busy", "Gone", "NoTools", "Power", "Session", "State", "VirtualMachine", "WrongPower", "can_ask"]

DEADLINE = 60.0  # seconds for an answer
TASK = 120.0  # seconds for a task of vSphere, and for another one of the machine that has to end before
FILES = 300.0  # seconds for the small files
LOOK = 0.5  # seconds between two looks at the power state


class State(enum.Enum):
    """The values are those of vSphere."""

    ON = "poweredOn"
    OFF = "poweredOff"
    SUSPENDED = "suspended"


@dataclass(frozen=True)
class Power:
    state: State
    tools_running: bool  # so that the guest can be asked to shut down
    boot_time: str | None = None  # when it was powered on, ISO 8601; None: it is off, or vSphere does not know
    clean: bool | None = None  # whether it was shut down, and not switched off; None: it is on, or vSphere does not know
    question: str | None = None  # it waits until somebody answers that in vSphere

    @property
    def on(self) -> bool:
        """Suspended is neither on nor off."""
        return self.state == State.ON

    @property
    def off(self) -> bool:
        return self.state == State.OFF


class Session:
    """One login, made when it is needed, and not again once it was refused: that could lock the account. Its questions are
    asked one after the other."""

    def __init__(self, vcenter: VCenter) -> None:
        self._vcenter = vcenter
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._refused = ""  # why

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Logs out, if that takes no longer than asking.LOGOUT. It can be asked again after that."""
        process, self._process = self._process, None
        if process is not None:
            await asking.leave(process)

    async def machine(self, vm: str) -> "VirtualMachine":
        """vm: a value of the vsphere plugin's vm=. Raises Gone if there is none, or if several have that name."""
        return VirtualMachine(self, (await self.ask({"do": "find", "vm": vm}))["moref"])

    async def ask(self, request: dict[str, Any], deadline: float = DEADLINE) -> dict[str, Any]:
        """See control.ACTIONS. A program that does not answer in time is ended; the next request starts another one. Raises
        Refused without asking if the login was refused before."""
        async with self._turn:
            if self._refused:
                raise Refused(self._refused)
            try:
                async with asyncio.timeout(deadline):
                    output = await self._answer(json.dumps(request))
            except asyncio.CancelledError:
                await self.close()
                raise
            except BaseException as e:
                await self._drop()
                if isinstance(e, TimeoutError):
                    raise asking.silent(self._vcenter, deadline) from None
                raise
            if not output:
                await self._drop()
            try:
                return asking.answer_of(self._vcenter, output)
            except Refused as e:
                self._refused = str(e)
                raise

    async def _answer(self, request: str) -> bytes:
        if self._process is None or self._process.returncode is not None:
            self._process = await asking.start("control")
            self._send(json.dumps(dataclasses.asdict(self._vcenter)))
        self._send(request)
        assert self._process.stdout is not None
        return await self._process.stdout.readline()

    def _send(self, line: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    async def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await asking.end(process)


@dataclass(frozen=True)
class VirtualMachine:
    session: Session
    moref: str  # it stays the same when the machine is renamed or moved

    async def power_state(self) -> Power:
        answer = await self._do("power")
        return Power(State(answer.pop("state")), **answer)

    async def shutdown_guest(self, seconds: float = TASK) -> None:
        """The guest begins to shut down; nothing happens if the machine is off. Raises NoTools."""
        await self._do("shutdown", seconds=seconds)

    async def power_off(self, seconds: float = TASK) -> None:
        """As by pulling the plug; nothing happens if it is off. Returns when it is off."""
        await self._do("power-off", seconds=seconds)

    async def power_on(self, seconds: float = TASK) -> None:
        """Nothing happens if it is on. Returns when it is on; its guest has only begun to start."""
        await self._do("power-on", seconds=seconds)

    async def take_snapshot(self, name: str, text: str, seconds: float = TASK) -> str:
        """Of the disks. Returns its reference. There is only one of the name, however often it is asked for."""
        return str((await self._do("snapshot", name=name, text=text, seconds=seconds))["snapshot"])

    async def remove_snapshot(self, name: str, seconds: float = 10 * TASK) -> None:
        """Nothing happens if there is none of the name."""
        await self._do("remove-snapshot", name=name, seconds=seconds)

    async def wait_for(self, state: State, seconds: float) -> Power | None:
        """What it is like in that state; None if it is not in it after so many seconds. It waits for a vCenter that is away."""
        end = time.monotonic() + seconds
        while True:
            try:
                power = await self.power_state()
                if power.state == state:
                    return power
            except (Away, Busy):
                if time.monotonic() > end:
                    raise
            if time.monotonic() > end:
                return None
            await asyncio.sleep(min(LOOK, max(0.0, end - time.monotonic())))

    async def definition(self) -> dict[str, Any]:
        """The content of definition.json: definition/definition.py reads it."""
        return await self._do("definition")

    async def download(self, directory: str) -> tuple[str, ...]:
        """The .vmx, .vmxf and .nvram as they are in the datastore. Returns their names in the directory, the .vmx first. While
        the machine runs, one that is locked is left out; when it is off, that is an error."""
        answer = await self._do("download", FILES, directory=directory)
        return tuple(answer["files"])

    async def _do(self, what: str, deadline: float = DEADLINE, **arguments: Any) -> dict[str, Any]:
        return await self.session.ask({"do": what, "moref": self.moref, **arguments}, deadline + arguments.get("seconds", 0.0))
