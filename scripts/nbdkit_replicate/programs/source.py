# SPDX-License-Identifier: BSD-3-Clause
"""Questions to a source: which disks it has, and what it says about each."""
import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import nbd

from ..contract import SourceDescription, data_bytes, delta_bytes, is_delta_extent, is_disk
from ..messages import Failure, mib
from .errors import Errors
from .process import Process, outcome
from .server import Server

DEADLINE = 600.0  # seconds for an answer; a source may have to log in, and to try again, before it gives one

T = TypeVar("T")


@dataclass(frozen=True)
class DiskFacts:
    size: int  # of the disk, in bytes
    delta: int  # bytes that are to be copied
    description: SourceDescription
    data: int = 0  # of delta, what is read

    @property
    def full(self) -> bool:
        """The source shows the whole disk: what the target holds does not matter."""
        return self.delta >= self.size

    def summary(self) -> str:
        if self.description.is_delta:
            return (f"{mib(self.delta)} of {mib(self.size)} have changed since {self.description.since} or are "
                    "owed")
        return f"the whole disk is copied: {mib(self.size)}"


async def ask_disk(source: Server, export: str) -> DiskFacts:
    uri = source.uri(export)
    size, description = await _answer(source, lambda: _size_and_description(uri))
    totals = await _map_totals(source, uri)
    return DiskFacts(size, delta_bytes(totals), SourceDescription.parse(description), data_bytes(totals))


async def count_areas(source: Server, export: str) -> int:
    """Of what is to be copied: ranges with nothing else between them."""
    uri = source.uri(export)
    return await _answer(source, lambda: _areas(uri))


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


async def _answer(source: Server, ask: Callable[[], T]) -> T:
    """What a blocking call of libnbd returns. If it is cancelled, the thread ends when the source does."""
    try:
        async with asyncio.timeout(DEADLINE + source.patience):
            return await asyncio.to_thread(ask)
    except TimeoutError as e:
        raise Failure(f"the source has not answered for {DEADLINE + source.patience:.0f} seconds") from e
    except nbd.Error as e:
        raise Failure(source.cause() or str(e)) from e


def _size_and_description(uri: str) -> tuple[int, str]:
    handle = nbd.NBD()
    handle.set_full_info(True)
    handle.connect_uri(uri)
    size = handle.get_size()
    description = ""
    with contextlib.suppress(nbd.Error):  # an export need not have one
        description = handle.get_export_description()
    handle.shutdown()
    return size, description


def _exports(uri: str) -> list[str]:
    names: list[str] = []
    handle = nbd.NBD()
    handle.set_opt_mode(True)
    handle.connect_uri(uri)
    handle.opt_list(lambda name, _description: names.append(name))
    handle.opt_abort()
    return names


def _areas(uri: str) -> int:
    count, shown, at = 0, False, 0

    def extents(_context: str, _offset: int, entries: list[int], _error: int) -> int:
        nonlocal count, shown, at
        for length, kind in zip(entries[::2], entries[1::2]):
            count += is_delta_extent(kind) and not shown
            shown, at = is_delta_extent(kind), at + length
        return 0

    handle = nbd.NBD()
    handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    handle.connect_uri(uri)
    size = handle.get_size()
    while at < size:
        handle.block_status(min(size - at, _MOST), at, extents)
    handle.shutdown()
    return count


_MOST = 0xFFFF_0000  # bytes of a request for block status: 32 bits, whole blocks


async def _map_totals(source: Server, uri: str) -> str:
    errors = Errors("nbdinfo", shown=False)
    nbdinfo = await Process.start(["nbdinfo", "--map", "--totals", "--json", uri], read_output=True, errors=errors)
    try:
        output = await nbdinfo.read_output()
        status = await nbdinfo.wait()
    finally:
        nbdinfo.kill()
        await nbdinfo.wait()
        errors.close()
    if status != 0:
        raise Failure(source.cause() or errors.cause() or f"nbdinfo ended with {outcome(status)}")
    return output.decode()
