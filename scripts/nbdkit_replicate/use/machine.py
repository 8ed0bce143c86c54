# SPDX-License-Identifier: BSD-3-Clause
"""The disks of a source, served at the same time. The source is started if one of them is not whole, and ended when all are."""
import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from ..composition.commands import Access, StatisticsFiles, source_command
from ..composition.replication import Replication
from ..contract import DISK
from ..files import make_directory
from ..messages import RUN_AGAIN, Failure, Level, WrongUse, say
from ..programs.directory import RunDirectory
from ..programs.server import Server
from ..programs.source import list_disks, start_source
from ..run.interruption import Interrupted, Interruption
from ..states import is_whole
from .disk import DiskUse, subject_of

INTERVAL = 0.5  # seconds between two looks how far the disks are


@dataclass(frozen=True)
class How:
    """What the user wants of it."""

    access: Access = Access.READ
    disk: str | None = None  # only this one
    socket: str | None = None  # a path, with {disk} if there are several; None: in a temporary directory


class MachineUse:
    def __init__(self, replication: Replication, how: How, passwords: tuple[str | None, str | None],
                 tell: Callable[[str | None, str], None]) -> None:
        """passwords: of the source and of the target. tell: called with the name of each disk and its URI."""
        self._replication = replication
        self._how = how
        self._passwords = passwords
        self._tell = tell
        self._interruption = Interruption(
            "the servers end; what clients have flushed and what has been fetched is kept, and the snapshot is removed")
        self._source: Server | None = None
        self._uses: list[DiskUse] = []

    async def run(self) -> bool:
        """Until a signal. Returns whether all disks are whole. Raises Failure."""
        if self._replication.several:
            make_directory(self._replication.state)
        with self._interruption.handle_signals(), RunDirectory() as directory:
            try:
                names = self._known()
                if not names or not all(is_whole(self._replication.disk(name).state) for name in names):
                    await self._start_source(directory)  # in no scope: it must not be cancelled
                with self._interruption.scope():
                    await self._start(names, directory)
                    await self._serve()
            except Interrupted:
                pass
            finally:
                await self._stop()
        results = []
        for use in self._uses:
            with subject_of(use):
                results.append(use.result())
        return bool(results) and all(results)

    async def _start(self, names: list[str | None], directory: RunDirectory) -> None:
        if self._source is not None:
            await self._source.wait_ready()
            if self._replication.several:
                names = self._chosen(sorted(await list_disks(self._source)))
        for number, name in enumerate(names):
            disk = self._replication.disk(name)
            files = StatisticsFiles.in_directory(disk, directory.file(f"{number}."))
            path = self._how.socket.replace(DISK, name or "") if self._how.socket else directory.file(f"{number}.sock")
            self._uses.append(DiskUse(disk, self._how.access, files, os.path.abspath(path)))
        for use in self._uses:
            with subject_of(use):
                await use.start(self._source, directory, self._passwords[1])
                assert use.server is not None
                self._tell(use.disk.name, use.server.uri())

    async def _start_source(self, directory: RunDirectory) -> None:
        if not self._replication.source.plugin:
            raise WrongUse("not everything is here yet: give --from as in the run, so that the rest can be fetched")
        command = source_command(self._replication, for_pull=True)
        self._source = await start_source(self._replication, command, directory, self._passwords[0])

    def _known(self) -> list[str | None]:
        return self._chosen(self._replication.known_disks())

    def _chosen(self, names: "list[str] | list[str | None]") -> list[str | None]:
        only = (self._how.disk,) if self._how.disk is not None else self._replication.only
        chosen: list[str | None] = [name for name in names if not only or name in only]
        if self._how.disk is not None and not chosen and self._source:
            raise Failure(f"there is no disk {self._how.disk}; there are {', '.join(map(str, names))}")
        return chosen

    async def _serve(self) -> None:
        told = False
        while True:
            for use in self._uses:
                with subject_of(use):
                    await use.look()
            if self._source and all(use.whole for use in self._uses):
                say("the source is not needed any more; the server goes on until it is ended")
                await self._end_source()
            elif self._source and not told and (status := await self._source.ended(0)) is not None:
                told = True
                why = self._source.cause() or f"status {status}"
                say(f"the source has ended ({why}): what is here can be used; {RUN_AGAIN}", Level.ERROR)
            await asyncio.sleep(INTERVAL)

    async def _end_source(self) -> None:
        if self._source:
            with self._interruption.expendable_source(self._source):
                await self._source.stop()
            self._source = None

    async def _stop(self) -> None:
        """Not cut short by a signal: the servers of the disks, the source."""
        for use in self._uses:
            if use.server is not None:
                with self._interruption.expendable(use.server):
                    await use.stop()
        drained = [asyncio.create_task(use.connections.drain()) for use in self._uses if use.connections]
        await self._end_source()
        await asyncio.gather(*drained)
