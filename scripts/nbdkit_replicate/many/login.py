# SPDX-License-Identifier: BSD-3-Clause
"""A password that a vCenter refuses is tried once, not by each machine: too many refused logins lock an account."""
import asyncio
import contextlib
from collections.abc import AsyncIterator

from ..messages import Failure, Refused


class Login:
    """That of one vCenter, in one run. Until somebody has been let in, one machine tries at a time."""

    def __init__(self) -> None:
        self._accepted = False
        self._refused: Refused | None = None
        self._trying = False
        self._changed = asyncio.Event()

    def accepted(self) -> None:
        self._accepted = True
        self._changed.set()

    def refused(self, why: Failure) -> None:
        self._refused = Refused(str(why))

    @contextlib.asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """The block logs in, and calls accepted() or refused() if it gets to know. Raises Refused if it would be refused."""
        while self._trying and not self._accepted:
            await self._changed.wait()
        if self._refused is not None:
            raise self._refused
        first = not self._accepted
        if first:
            self._trying = True
            self._changed.clear()
        try:
            yield
        finally:
            if first:
                self._trying = False
                self._changed.set()
