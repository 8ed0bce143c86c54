# SPDX-License-Identifier: BSD-3-Clause
"""How many machines and disks of a plan are under way at the same time.

A machine is begun only when a disk of it may be begun too: while it waits for that, it has no snapshot. It keeps that slot
until its end, the removal of the snapshot included; its disks use it one after the other, and wait for further slots of
their own. Disks of machines that have been begun come before machines that have not. So nobody waits for what is held by
somebody who waits, and no host ever has more snapshots of ours than its limit.
"""
import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from ..plan.plan import Limits, Machine

MACHINES = 4  # at the same time, unless the plan says


@dataclass
class Pool:
    limit: int | None  # None: none
    used: int = 0

    @property
    def free(self) -> bool:
        return self.limit is None or self.used < self.limit


@dataclass(eq=False)
class _Request:
    pools: list[Pool]
    owner: "MachineSlots | None"  # whose disk it is for; None: for a machine that is to be begun
    granted: asyncio.Future[None]


class Scheduler:
    def __init__(self, limits: Limits, check_may_begin: Callable[[], None] = lambda: None) -> None:
        """check_may_begin: raises Failure once nothing is to be begun any more."""
        self._limits = limits
        self.check_may_begin = check_may_begin
        self._machines = Pool(limits.machines or MACHINES)
        self._pools: dict[tuple[str, str], Pool] = {}
        self._requests: list[_Request] = []

    @contextlib.asynccontextmanager
    async def machine(self, machine: Machine, host: str) -> AsyncIterator["MachineSlots"]:
        """The block is the machine's run. host: the ESXi host, "" if that does not matter or is not known."""
        pools = self._disk_pools(machine, host)
        await self.take([self._machines, *pools], None)
        try:
            self.check_may_begin()
            yield MachineSlots(self, pools, self._limits.disks)
        finally:
            self.give_back([self._machines, *pools])

    async def take(self, pools: list[Pool], owner: "MachineSlots | None") -> None:
        """Waits until each pool has a free place, and takes it. If it is cancelled, nothing is taken."""
        request = _Request(pools, owner, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        self._grant()
        try:
            await request.granted
        except asyncio.CancelledError:
            if request in self._requests:
                self._requests.remove(request)
            elif owner is not None:
                owner.release_slot()
            else:
                self.give_back(pools)
            raise

    def give_back(self, pools: list[Pool]) -> None:
        for pool in pools:
            pool.used -= 1
        self._grant()

    def hand_over(self, owner: "MachineSlots") -> bool:
        """To a waiting disk of the same machine; False if none waits."""
        request = next((one for one in self._requests if one.owner is owner), None)
        if request is not None:
            self._answer(request)
        return request is not None

    def _disk_pools(self, machine: Machine, host: str) -> list[Pool]:
        pools = []
        if machine.vcenter:
            pools.append(self._pools.setdefault((machine.vcenter, ""), Pool(self._limits.per_vcenter)))
        if host:
            pools.append(self._pools.setdefault((machine.vcenter, host), Pool(self._limits.per_host)))
        return pools

    def _grant(self) -> None:
        """In their order, disks first. One that needs what is not free does not keep others from what they need."""
        for request in sorted(self._requests, key=lambda one: one.owner is None):
            if all(pool.free for pool in request.pools):
                for pool in request.pools:
                    pool.used += 1
                if request.owner is not None:
                    request.owner.held += 1
                self._answer(request)

    def _answer(self, request: _Request) -> None:
        self._requests.remove(request)
        if request.owner is not None:
            request.owner.busy += 1
        if not request.granted.done():  # it has just been cancelled: take() gives it back
            request.granted.set_result(None)


class MachineSlots:
    """Those of one machine: run.slots.DiskSlots. It holds at least one, which need not be used."""

    def __init__(self, scheduler: Scheduler, pools: list[Pool], disks: int) -> None:
        self.held = 1
        self.busy = 0
        self._scheduler = scheduler
        self._pools = pools
        self._disks = asyncio.Semaphore(disks)

    async def acquire(self) -> None:
        await self._disks.acquire()
        try:
            if self.busy < self.held:
                self.busy += 1
            else:
                await self._scheduler.take(self._pools, self)
        except BaseException:
            self._disks.release()
            raise
        try:
            self._scheduler.check_may_begin()  # also after it has waited
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        self.release_slot()
        self._disks.release()

    def release_slot(self) -> None:
        self.busy -= 1
        if not self._scheduler.hand_over(self) and self.held > 1:
            self.held -= 1
            self._scheduler.give_back(self._pools)
