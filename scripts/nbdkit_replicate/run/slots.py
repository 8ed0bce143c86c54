# SPDX-License-Identifier: BSD-3-Clause
"""How many disks of a machine are copied at the same time."""
import asyncio
from typing import Protocol


class DiskSlots(Protocol):
    async def acquire(self) -> None:
        """Waits until a disk may be begun. Raises Failure if it may not be. If it is cancelled, nothing is acquired."""

    def release(self) -> None:
        """After the end of the disk."""


class OwnSlots:
    """Those of a run that has nothing to do with others."""

    def __init__(self, count: int) -> None:
        self._semaphore = asyncio.Semaphore(count)

    async def acquire(self) -> None:
        await self._semaphore.acquire()

    def release(self) -> None:
        self._semaphore.release()
