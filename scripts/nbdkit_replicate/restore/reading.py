# SPDX-License-Identifier: BSD-3-Clause
"""A server that shows a restore point. What is read of it is compared with its digests, if there are any."""
import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from ..contract import module
from ..messages import Failure
from ..points.chain import chain_of
from ..points.points import Point
from ..points.store import stored_image
from ..programs.connections import Connections
from ..programs.directory import RunDirectory
from ..programs.errors import Errors
from ..programs.process import Process, outcome
from ..programs.server import Server
from .progress import told

_numbers = itertools.count()  # for the names of sockets


@dataclass(frozen=True)
class Reading:
    """How points are read."""

    build: str | None = None
    checked: bool = True  # compared with the digests of the point, if it has any


def reading_command(point: Point, how: Reading, filters: Sequence[str] = ()) -> list[str]:
    """filters: above the one that checks, with their parameters after all others, as words KEY=VALUE."""
    top, build, checked = point.top, how.build, how.checked and point.has_digests
    words = ["nbdkit", "-r", *(f"--filter={name}" for name in filters if "=" not in name)]
    if checked:
        words.append(f"--filter={module('filter', 'delta', build)}")
    words += [module("plugin", "qcow2", build), f"file={top.path}", "read-only=on"]
    if top.backing:
        # The chain is known, and by UUID, so its names may lead anywhere.
        words += [f"backing={top.backing}", f"backing-format={top.image.backing_format or 'qcow2'}", "backing=auto"]
    if checked:
        words.append(f"delta-check={top.digests}")
    return [*words, *(word for word in filters if "=" in word)]


@contextlib.asynccontextmanager
async def shown(point: Point, how: Reading, directory: RunDirectory, filters: Sequence[str] = ()) -> AsyncIterator[Server]:
    """A server within the block. Raises Failure also if the point has changed before the server had locked its images."""
    command = reading_command(point, how, filters)
    server = await Server.start("restore point", command, directory, f"point-{next(_numbers)}.sock")
    try:
        await server.wait_ready()
        _check_unchanged(point)
        yield server
    finally:
        await server.stop()


async def copy(server: Server, target: str, progress: bool = False) -> None:
    """By nbdcopy. target: a URI, a file, or null:. progress: its bar on the terminal. Raises Failure with the cause."""
    if progress:
        await _copy(server, target, "--progress")
    else:
        with told() as descriptor:
            await _copy(server, target, f"--progress={descriptor}", (descriptor,))


async def _copy(server: Server, target: str, option: str, inherited: Sequence[int] = ()) -> None:
    errors = Errors("nbdcopy", shown=False) if inherited else None
    client = await Process.start(["nbdcopy", "--flush", option, server.uri(), target], inherited, errors=errors)
    connections = Connections(client.id, (server.socket,))
    watching = asyncio.create_task(connections.watch())
    try:
        status = await client.wait()
    finally:
        connections.look()
        client.terminate()
        await client.wait()
        watching.cancel()
        await connections.drain()
        cause = errors.cause() if errors else ""
        if errors:
            errors.close()
    if status != 0:
        raise Failure(server.cause() or cause or f"nbdcopy ended with {outcome(status)}")


def _check_unchanged(point: Point) -> None:
    now = chain_of(stored_image(point.path))
    if [image.uuid for image in now.images] != [image.uuid for image in point.chain.images] or now.fault or \
            now.top.mark != point.top.mark:
        raise Failure(f"{point.path} has been changed meanwhile, by a run or by prune; run the same command again")
