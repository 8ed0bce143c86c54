# SPDX-License-Identifier: BSD-3-Clause
"""With --pull: while the images are served, which may be the disks of a machine that runs at its destination. So nothing that
the vCenter answers ends their servers."""
import asyncio
import contextlib
import enum
import time
from dataclasses import dataclass

from ..messages import Failure, Level, Refused, say, warn
from ..programs.server import Server
from ..report import text
from . import handover
from .connected import clients_of
from .context import Context
from .power import Watch, started_again
from .pull_state import is_used, owed

TOLD = 30.0  # seconds between two lines about what is owed
POLL = 0.5  # seconds between two looks at what is owed, and at who is connected
AGAIN = 30.0  # seconds until the snapshot is tried to be removed again


class _Removal(enum.Enum):
    """What came of removing the snapshot."""

    DONE = enum.auto()
    FAILED = enum.auto()  # it is tried again
    REFUSED = enum.auto()  # the login: it is not tried again


@dataclass(frozen=True)
class End:
    failed: bool  # the command of --then
    removed: bool  # the snapshot


async def serve(context: Context, uris: dict[str, str], images: list[Server], source: contextlib.AsyncExitStack,
                again: bool) -> End:
    """Until all is here and nobody uses the images any more. source: what ends when all is here. again: somebody has used them
    before. Raises CommandFailed if nobody uses them."""
    fetching = asyncio.create_task(_fetch(context, list(uris), images, source))
    try:
        failed = await _hand_over(context, uris, images, again)
        return End(failed, await _until_unused(context, images, await fetching))
    finally:
        if not fetching.cancelling():  # an interruption does that as well, and what it has cancelled may be about to log out
            fetching.cancel()
        await asyncio.gather(fetching, return_exceptions=True)


async def _hand_over(context: Context, uris: dict[str, str], images: list[Server], again: bool) -> bool:
    """Returns whether the command has failed while the images are used: they are served on."""
    try:
        await handover.hand_over(context, uris)
    except handover.CommandFailed as e:
        if not again and not _are_used(context, uris, images):
            raise
        say(f"{e}; the images are served on, as they are used", Level.ERROR)
        return True
    return False


def _are_used(context: Context, uris: dict[str, str], images: list[Server]) -> bool:
    """Now, or by one who has written and may be about to connect again."""
    return any(map(clients_of, images)) or any(is_used(context.machine, disk) for disk in uris)


async def _fetch(context: Context, disks: list[str], images: list[Server], source: contextlib.AsyncExitStack) -> _Removal:
    """Until nothing is owed any more. Then the snapshot is removed."""
    await _until_whole(context, disks, images)
    await source.aclose()
    with context.interruption.scope():
        removal = await _try_to_remove(context)
    say("everything is here: the source is not needed any more")
    return removal


async def _until_whole(context: Context, disks: list[str], images: list[Server]) -> None:
    """That somebody starts the machine meanwhile does not hurt the copy, but there are two of them then."""
    watch, told, due = Watch(context), False, time.monotonic() + TOLD
    while left := owed(context.machine, disks):
        for server in images:
            server.check_running()
        if time.monotonic() >= due:
            say(f"{text.size(left)} are still to be fetched")
            due += TOLD
        with context.interruption.scope():
            await asyncio.sleep(POLL)
            power = await watch.look()
        if power is not None and not power.off and not told:
            say(f"{started_again(power).what}, and it may run at its destination, too; {text.size(left)} are still to be "
                "fetched", Level.ERROR)
            told = True


async def _until_unused(context: Context, images: list[Server], removal: _Removal) -> bool:
    """Returns whether the snapshot has been removed, which is tried again meanwhile."""
    told, due = False, time.monotonic() + AGAIN
    while any(map(clients_of, images)):
        if not told:
            say("the servers of the images end when their last client has disconnected")
            told = True
        with context.interruption.scope():
            await asyncio.sleep(POLL)
            if removal == _Removal.FAILED and time.monotonic() >= due:
                removal, due = await _try_to_remove(context), time.monotonic() + AGAIN
    return removal == _Removal.DONE


async def _try_to_remove(context: Context) -> _Removal:
    try:
        await remove_snapshot(context)
    except Failure as e:
        warn(str(e))
        return _Removal.REFUSED if isinstance(e, Refused) else _Removal.FAILED
    return _Removal.DONE


async def remove_snapshot(context: Context) -> None:
    """Which nothing is fetched from any more. Raises Refused, or another Failure."""
    try:
        await context.vm.remove_snapshot(context.journal.snapshot)
    except (Failure, OSError) as e:
        kind = Refused if isinstance(e, Refused) else Failure
        raise kind(f'the snapshot "{context.journal.snapshot}" of the machine is not removed; the same command tries again: '
                   f"{e}") from e
