# SPDX-License-Identifier: BSD-3-Clause
"""With --pull: the images are served as soon as the machine is off, and fetch the last increment themselves.

They are fetched from a snapshot that stays until all is here, and that the journal names before it is made. So the
servers can be ended and started again at any time, also after clients have written: the source is as of the same instant."""
import contextlib
import dataclasses
import os
import secrets
import time
from collections.abc import AsyncIterator, Sequence

from ..composition.commands import source_command, uri_of
from ..composition.replication import Module
from ..contract import module, use_parameters
from ..files import make_directory
from ..images import image_size
from ..many.replications import replication_of
from ..messages import Failure, say
from ..points.chain import chain_of
from ..points.store import stored_image
from ..programs.directory import RunDirectory
from ..programs.server import Server
from ..programs.source import describe, start_source
from . import handover
from .context import Context
from .definition import save_definition
from .journal import Step
from .overlays import check_unused, copies_of, directory_of, images_of, overlay_path, socket_of, take_away
from .power import require_off
from .pull_state import (begin_serving, begin_states, check_instant, end_serving, is_changed, is_used, latest_points, owed,
                         pull_state, remove_states)
from .rounds import run_round
from .serving import remove_snapshot, serve

LONGEST = 107  # bytes of the path of a socket
SNAPSHOT = "nbdkit-replicate cutover "  # of the name, which ends with a random token


def check_sockets(context: Context, disks: list[str]) -> None:
    for disk in disks:
        path = socket_of(context.machine, disk)
        if len(os.fsencode(path)) > LONGEST:
            raise Failure(f"{path}: is too long for the name of a socket: give the images a directory with a shorter name")


async def pull_last(context: Context) -> None:
    """From the machine that is off to the end, when everything is here and nobody uses the servers any more."""
    again = context.journal.step == Step.HANDOVER
    if not again:
        await _prepare(context)
    try:
        await _pull(context, again)
    except Failure:
        if context.journal.step == Step.OFF:
            with contextlib.suppress(Failure):  # then the next command does it
                await take_back(context)
        raise


async def _pull(context: Context, again: bool) -> None:
    disks = [disk for disk, _ in context.journal.images]
    with RunDirectory() as directory:
        async with contextlib.AsyncExitStack() as source, contextlib.AsyncExitStack() as servers:
            images = await _start(context, disks, directory, source, servers)
            uris = {disk: uri_of(socket_of(context.machine, disk)) for disk in disks}
            if not again:
                await require_off(context)
                context.go_to(Step.HANDOVER, pulled=True, ready=time.time(),
                              last=max(point.time for point in latest_points(context.machine)))
                handover.tell(context)
            for disk, uri in uris.items():
                say(f"disk {disk}: {uri}")
            began = time.time()
            end = await serve(context, uris, images, source, again)
    if end.failed:
        raise Failure("the images are not used any more, but the command of --then has failed, see above: the same command "
                      "runs it again, and --abort starts the source again")
    context.go_to(Step.DONE, ended=time.time())
    say(f"the machine is handed over; {handover.describe(context, time.time() - began if context.options.then else None)}")
    if not end.removed:
        await remove_snapshot(context)


async def _prepare(context: Context) -> None:
    """Nothing has been handed over yet: what an interrupted cutover has made is made anew."""
    machine = context.machine
    try:
        points = latest_points(machine)
    except Failure as e:  # it was off from the beginning, or the last round was interrupted
        say(f"{e}: there is another round first")
        one = await run_round(context, None, waited=True, last=True)
        context.save(dataclasses.replace(context.journal, rounds=(*context.journal.rounds, one.round)))
        points = latest_points(machine)
    images = images_of(machine, points)
    check_sockets(context, [point.disk for point in points])
    check_unused(images)
    await take_away(images, None)
    begin_states(machine, points)
    make_directory(directory_of(machine))
    context.save(dataclasses.replace(context.journal, images=images, snapshot=SNAPSHOT + secrets.token_hex(8)))


async def _start(context: Context, disks: list[str], directory: RunDirectory, source: contextlib.AsyncExitStack,
                 servers: contextlib.AsyncExitStack) -> list[Server]:
    """Returns those of the images. source: what ends when all is here."""
    remote: Server | None = None
    if owed(context.machine, disks) or context.journal.step == Step.OFF:
        remote = await source.enter_async_context(_source(context, directory))
    images = []
    for disk in disks:
        uri = remote.uri(_export(context, disk)) if remote else uri_of(directory.file("ended.sock"))
        images.append(await servers.enter_async_context(_served(context, disk, uri, directory)))
    if remote and context.journal.step == Step.OFF:
        await _check_instants(context, disks, images, remote)
        await save_definition(context, copies_of(context.machine, latest_points(context.machine), True))
    return images


async def _check_instants(context: Context, disks: list[str], images: list[Server], remote: Server) -> None:
    """What the images say that they lack is all that the source has and their restore points have not."""
    for disk, image in zip(disks, images, strict=True):
        with context.interruption.scope():
            await describe(image)  # one that serves has saved its state
            shown = await describe(remote, _export(context, disk))
        check_instant(context.machine, disk, shown)


def _export(context: Context, disk: str) -> str:
    return disk if context.machine.several else ""


@contextlib.asynccontextmanager
async def _source(context: Context, directory: RunDirectory) -> AsyncIterator[Server]:
    """Of the snapshot, which is removed at the end if all is here."""
    planned = replication_of(context.plan, context.machine, "", context.options.verbose)
    if os.path.exists(os.path.join(context.machine.states, "snapshot")):
        await _remove_left_over(source_command(planned), directory)
    with context.interruption.scope():
        reference = await context.vm.take_snapshot(context.journal.snapshot, "The last increment of a cutover is read from it.")
    own = planned.source
    source = Module(own.plugin, (*own.parameters, f"snapshot={reference}"))
    replication = dataclasses.replace(planned, source=source)
    server = await start_source(replication, source_command(replication), directory)
    try:
        with context.interruption.scope():
            await server.wait_ready()
        yield server
    finally:
        await server.stop()


async def _remove_left_over(command: list[str], directory: RunDirectory) -> None:
    """A snapshot of a run that was killed with its servers: it is in the way, and a source that starts removes it."""
    server = await Server.start("source", command, directory, "left-over.sock")
    try:
        await server.wait_ready()
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def _served(context: Context, disk: str, source_uri: str, directory: RunDirectory) -> AsyncIterator[Server]:
    """The image of a disk, over its last restore point."""
    machine, build = context.machine, context.plan.build
    path, socket = overlay_path(machine, disk), socket_of(machine, disk)
    patience = context.plan.reconnect_for.total_seconds()
    backing = ["backing=auto"] if os.path.exists(path) else _backing(context, disk)
    command = ["nbdkit", *(["-v"] if context.options.verbose else []), f"--filter={module('filter', 'pull', build)}",
               module("plugin", "qcow2", build), f"file={path}", *backing,
               *(f"{key}={value}" for key, value in use_parameters(source_uri, pull_state(machine, disk), patience))]
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket)
    told = begin_serving(machine, disk, path, again=context.journal.step == Step.HANDOVER)
    server = await Server.start(f"disk {disk}", command, directory, socket)
    try:
        with context.interruption.scope():
            await server.wait_ready()
        yield server
    finally:
        ended_well = await server.stop()
        if told:
            end_serving(machine, disk, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(socket)
    if not ended_well:
        raise Failure(server.cause() or f"the server of disk {disk} did not end in order")


def _backing(context: Context, disk: str) -> list[str]:
    """Parameters of a new image."""
    point = next(one for one in latest_points(context.machine) if one.disk == disk)
    size = chain_of(stored_image(point.path)).top.image.size
    return [f"backing={point.path}", "backing-format=qcow2", f"size={image_size(size)}"]


async def take_back(context: Context) -> None:
    """What an interrupted cutover has made before it handed anything over: the images are of no use without its snapshot."""
    check_unused(context.journal.images)
    with context.interruption.scope():
        await end_pulling(context, context.journal.images)
    context.save(dataclasses.replace(context.journal, images=(), snapshot=""))


async def end_pulling(context: Context, images: Sequence[tuple[str, str]]) -> None:
    """After check_unused(): the images are taken away, and what was made for --pull."""
    async def is_written(disk: str, path: str) -> bool:
        if is_used(context.machine, disk):
            return True
        return context.journal.pulled and is_changed(context.machine, disk, path) is not False  # if that is not known, too

    await take_away(images, is_written if context.journal.snapshot else None)
    if context.journal.snapshot:
        await context.vm.remove_snapshot(context.journal.snapshot)
    remove_states(context.machine)
