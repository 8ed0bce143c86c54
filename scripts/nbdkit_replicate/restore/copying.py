# SPDX-License-Identifier: BSD-3-Clause
"""Writes one restore point to a target."""
import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import nbd

from ..messages import Failure
from ..points.points import Point
from ..programs.directory import RunDirectory
from ..programs.server import Server
from .reading import Reading, copy, shown
from .target import HEAD, DeviceTarget, FileTarget, RemoteTarget, Target

_numbers = itertools.count()  # for the names of sockets


class Restore:
    def __init__(self, point: Point, target: Target, how: Reading, directory: RunDirectory, progress: bool) -> None:
        self._point = point
        self._target = target
        self._how = how
        self._directory = directory
        self._progress = progress

    async def run(self) -> None:
        """All is there, durably, when this returns. Raises Failure, OSError."""
        with self._target.claimed():
            if isinstance(self._target, FileTarget):
                await self._copy_file(self._target)
            else:
                await self._copy_to_place(self._target)
            self._target.finish()

    async def _copy_file(self, target: FileTarget) -> None:
        command = target.server(self._point.top.image.size, self._how.build)
        async with shown(self._point, self._how, self._directory) as source:
            if command is None:
                await copy(source, target.partial, self._progress)
                return
            async with self._writing(command, "qcow2") as server:
                await copy(source, server.uri(), self._progress)

    async def _copy_to_place(self, target: DeviceTarget | RemoteTarget) -> None:
        """The beginning is written last."""
        size = self._point.top.image.size
        async with shown(self._point, self._how, self._directory) as source:
            head = await asyncio.to_thread(_read_head, source, min(size, HEAD))
        await asyncio.to_thread(target.write, bytes(len(head)))
        if size > HEAD:
            async with shown(self._point, self._how, self._directory, ("offset", f"offset={HEAD}")) as source, \
                    self._writing(target.server(size, self._how.build), target.plugin) as server:
                await copy(source, server.uri(), self._progress)
        await asyncio.to_thread(target.write, head)

    @contextlib.asynccontextmanager
    async def _writing(self, command: list[str], plugin: str) -> AsyncIterator[Server]:
        server = await Server.start("target", command, self._directory, f"target-{next(_numbers)}.sock")
        server.limit(plugin)
        ended_well = False
        try:
            await server.wait_ready()
            yield server
        except Failure as e:
            raise Failure(server.cause() or str(e)) from e
        finally:
            ended_well = await server.stop()
        if not ended_well:
            raise Failure(server.cause() or "the target did not end in order")


def _read_head(source: Server, length: int) -> bytes:
    handle = nbd.NBD()
    try:
        handle.connect_uri(source.uri())
        data = bytes(handle.pread(length, 0)) if length else b""
        handle.shutdown()
    except nbd.Error as e:
        raise Failure(source.cause() or e.string) from e
    return data
