# SPDX-License-Identifier: BSD-3-Clause
"""The vCenters of a run: what they say of their machines, asked once, and what became of their logins."""
import asyncio
import time
from collections.abc import Collection, Iterable

from ..messages import Failure, Refused, say, warn
from ..plan.plan import Machine, Plan, VCenter
from ..vcenter.inventory import Away, Inventory, ask, can_ask
from .login import Login
from .replications import vm_of

PAUSE = 10.0  # seconds before a vCenter that is away is asked again
UNKNOWN = "?"  # stands for the host of a machine that is not found: all such count as one host


class VCenters:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.inventories: dict[str, Inventory] = {}
        self._failures: dict[str, Failure] = {}
        self._logins = {vcenter.name: Login() for vcenter in plan.vcenters}

    async def ask(self) -> None:
        """Those that the plan's machines and folders are in, at the same time. A failure concerns the machines of that one."""
        used = {machine.vcenter for machine in self._plan.machines} | {folder.vcenter for folder in self._plan.folders}
        if used - {""} and not can_ask():
            if self._plan.folders or self._plan.limits.per_host:
                what = "[[folder]]" if self._plan.folders else "limits.per-host"
                raise Failure(f"{self._plan.path}: {what} needs VMware's client for Python: install python3-pyvmomi")
            return
        await asyncio.gather(*(self._ask(vcenter) for vcenter in self._plan.vcenters if vcenter.name in used))

    def failure(self, name: str) -> Failure | None:
        """Why nothing can be done with the machines of this vCenter."""
        return self._failures.get(name)

    def failures(self) -> Collection[Failure]:
        return self._failures.values()

    def login(self, machine: Machine) -> Login:
        return self._logins.get(machine.vcenter) or Login()

    def host(self, machine: Machine) -> str:
        """"" if the plan has no limit for hosts."""
        if not self._plan.limits.per_host or not machine.vcenter:
            return ""
        inventory = self.inventories.get(machine.vcenter)
        facts = inventory.find(vm_of(machine)) if inventory else None
        return facts.host if facts and facts.host else UNKNOWN

    async def _ask(self, vcenter: VCenter) -> None:
        try:
            self.inventories[vcenter.name] = await self._ask_again_and_again(vcenter, self._paths(vcenter))
            self._logins[vcenter.name].accepted()
        except Failure as e:
            self._failures[vcenter.name] = e
            if isinstance(e, Refused):
                self._logins[vcenter.name].refused(e)

    async def _ask_again_and_again(self, vcenter: VCenter, paths: list[str]) -> Inventory:
        """One that is away is asked again for as long as the plan says; a login that is refused is not tried again."""
        began, said = time.monotonic(), False
        while True:
            try:
                inventory = await ask(vcenter, paths)
            except Away as e:
                waited = time.monotonic() - began
                if waited + PAUSE > self._plan.reconnect_for.total_seconds():
                    raise
                if not said:
                    warn(f"{e}; it is asked again for up to {self._plan.reconnect_for}")
                    said = True
                await asyncio.sleep(PAUSE)
                continue
            if said:
                say(f"vCenter {vcenter.name} answers again, after {time.monotonic() - began:.0f} seconds")
            return inventory

    def _paths(self, vcenter: VCenter) -> list[str]:
        of_it: Iterable[Machine] = (machine for machine in self._plan.machines if machine.vcenter == vcenter.name)
        return [vm_of(machine) for machine in of_it]
