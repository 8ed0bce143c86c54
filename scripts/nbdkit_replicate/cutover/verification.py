# SPDX-License-Identifier: BSD-3-Clause
"""What a run has written is read back, and compared with the digests of what was sent. What lies below it was not changed."""
import asyncio
import time
from collections.abc import Iterator

import nbd

from ..messages import Failure, about, warn
from ..plan.plan import Machine
from ..points.machines import points_of
from ..points.points import Point
from ..programs.directory import RunDirectory
from ..programs.qemu_img import written_ranges
from ..report.records import RunRecord
from ..restore.checking import check_tables
from ..restore.reading import Reading, shown
from .context import Context

REQUEST = 1 << 20  # bytes
AT_ONCE = 16  # requests
SILENCE = 120.0  # seconds
BLOCK = 1 << 16  # bytes of a digest


def points_of_run(machine: Machine, record: RunRecord) -> list[Point]:
    """Those that the run has made, one of each disk. Raises Failure if one of them is not complete."""
    wanted = {disk.disk or machine.single_disk for disk in record.disks}
    points = [point for point in points_of(machine).points if point.time == record.time and point.disk in wanted]
    for point in points:
        if not point.is_complete:
            raise Failure(f"disk {point.disk}: {point.path} is not right: {point.why}")
    if missing := wanted - {point.disk for point in points}:
        raise Failure(f"there is no restore point of {record.time} of {', '.join(sorted(missing))}")
    return points


async def verify(context: Context, points: list[Point]) -> None:
    with RunDirectory() as directory:
        for point in points:
            with about(disk=point.disk):
                await _verify(point, context.plan.build, directory)


async def _verify(point: Point, build: str | None, directory: RunDirectory) -> None:
    fault = await check_tables(point.path)
    if fault:
        raise Failure(fault)
    if not point.has_digests:
        warn(f"{point.path} has no digests: its content is not verified")
        return
    ranges = _blocks(await written_ranges(point.path), point.top.image.size)
    async with shown(point, Reading(build), directory) as server:
        try:
            await asyncio.to_thread(_read, server.uri(), ranges)
        except nbd.Error as e:
            raise Failure(f"{point.path} is not what was sent: {server.cause() or e.string}") from e


def _blocks(ranges: list[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Whole blocks, each once: those that digests are of."""
    result: list[tuple[int, int]] = []
    for offset, length in ranges:
        begin = max(offset // BLOCK * BLOCK, sum(result[-1]) if result else 0)
        end = min((offset + length + BLOCK - 1) // BLOCK * BLOCK, size)
        if begin >= end:
            continue
        if result and sum(result[-1]) == begin:
            begin = result.pop()[0]
        result.append((begin, end - begin))
    return result


def _requests(ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for offset, length in ranges:
        for at in range(offset, offset + length, REQUEST):
            yield at, min(REQUEST, offset + length - at)


def _read(uri: str, ranges: list[tuple[int, int]]) -> None:
    """Raises nbd.Error if a block differs, or Failure if there is no answer. All answers that the server has are received in
    any case: otherwise it could not end."""
    handle = nbd.NBD()
    handle.connect_uri(uri)
    pending: list[tuple[int, nbd.Buffer]] = []
    requests, failure = _requests(ranges), None
    answered = time.monotonic()
    while True:
        while failure is None and len(pending) < AT_ONCE and (request := next(requests, None)) is not None:
            buffer = nbd.Buffer(request[1])
            pending.append((handle.aio_pread(buffer, request[0]), buffer))
        left = []
        for one in pending:
            try:
                if not handle.aio_command_completed(one[0]):
                    left.append(one)
            except nbd.Error as e:
                failure = failure or e
        if len(left) < len(pending):
            pending, answered = left, time.monotonic()
            continue
        if not pending:
            break
        if time.monotonic() - answered > SILENCE:
            raise Failure(f"what was written could not be read back: there has been no answer for {SILENCE:.0f} seconds")
        handle.poll(1000)
    handle.shutdown()
    if failure is not None:
        raise failure
