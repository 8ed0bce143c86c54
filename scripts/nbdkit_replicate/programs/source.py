# SPDX-License-Identifier: BSD-3-Clause
"""Questions to a source: which disks it has, and what it says about each."""
import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import nbd

from ..composition.replication import Replication
from ..contract import SourceDescription, data_bytes, delta_bytes, is_disk
from ..messages import Failure, mib
from .block_status import read_totals
from .directory import RunDirectory
from .server import Server

DEADLINE = 600.0  # seconds for an answer; a source may have to log in, and to try again, before it gives one

T = TypeVar("T")


@dataclass(frozen=True)
class DiskFacts:
    size: int  # of the disk, in bytes
    delta: int  # bytes that are to be copied
    description: SourceDescription
    data: int = 0  # of delta, what is read
    areas: int = 0  # of delta: ranges with nothing else between them

    @property
    def full(self) -> bool:
        """The source shows the whole disk: what the target holds does not matter."""
        return self.delta >= self.size

    def summary(self) -> str:
        if self.description.is_delta:
            return (f"{mib(self.delta)} of {mib(self.size)} have changed since {self.description.since} or are "
                    "owed")
        return f"the whole disk is copied: {mib(self.size)}"


async def start_source(replication: Replication, command: Sequence[str], directory: RunDirectory,
                       password: str | None = None) -> Server:
    """Must not be cancelled, as Server.start."""
    source = await Server.start("source", command, directory, "source.sock", password)
    source.patience = replication.patience
    source.limit(replication.source.plugin)
    return source


async def ask_disk(source: Server, export: str) -> DiskFacts:
    uri = source.uri(export)
    handle, description = await _answer(source, lambda: _connect(uri))
    totals = await _answer(source, lambda: read_totals(handle, DEADLINE + source.patience), deadline=None)
    size = handle.get_size()
    await _answer(source, handle.shutdown)
    return DiskFacts(size, delta_bytes(totals.sizes), SourceDescription.parse(description),
                     data_bytes(totals.sizes), totals.areas)


async def describe(server: Server, export: str = "") -> SourceDescription:
    """What it says of the export; it serves then."""
    handle, description = await _answer(server, lambda: _connect(server.uri(export)))
    await _answer(server, handle.shutdown)
    return SourceDescription.parse(description)


async def list_disks(source: Server) -> list[str]:
    uri = source.uri()
    disks = [name for name in await _answer(source, lambda: _exports(uri)) if is_disk(name)]
    for name in disks:
        if name in ("", ".", "..") or "/" in name:
            raise Failure(f'the source has an export called "{name}", which cannot be part of a file name: replicate '
                          "it alone, with a file for --state")
    if not disks:
        raise Failure("the source lists no exports: its default export can be replicated with a file for --state")
    return disks


async def _answer(source: Server, ask: Callable[[], T], deadline: float | None = DEADLINE) -> T:
    """What a blocking call of libnbd returns. If it is cancelled, the thread ends when the source does. deadline: None if
    the call has its own, for each answer."""
    try:
        async with asyncio.timeout(None if deadline is None else deadline + source.patience):
            return await _in_thread(ask)
    except TimeoutError as e:
        raise Failure(f"the source has not answered for {DEADLINE + source.patience:.0f} seconds") from e
    except nbd.Error as e:
        raise Failure(source.cause() or str(e)) from e


async def _in_thread(ask: Callable[[], T]) -> T:
    """One of its own: it is kept for as long as a source waits for its vCenter, and asyncio's threads, which are few, are for
    all."""
    executor = ThreadPoolExecutor(1)
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, ask)
    finally:
        executor.shutdown(wait=False)


def _connect(uri: str) -> tuple[nbd.NBD, str]:
    """To ask for the map; with the description of the export."""
    handle = nbd.NBD()
    handle.set_full_info(True)
    handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    handle.connect_uri(uri)
    description = ""
    with contextlib.suppress(nbd.Error):  # an export need not have one
        description = handle.get_export_description()
    return handle, description


def _exports(uri: str) -> list[str]:
    names: list[str] = []
    handle = nbd.NBD()
    handle.set_opt_mode(True)
    handle.connect_uri(uri)
    handle.opt_list(lambda name, _description: names.append(name))
    handle.opt_abort()
    return names
