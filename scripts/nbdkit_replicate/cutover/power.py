# SPDX-License-Identifier: BSD-3-Clause
"""Shutting the machine down, and seeing that nobody starts it."""
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from ..many.hooks import run_program
from ..messages import Failure, Refused, say, warn
from ..programs.process import bound_to_parent
from ..report import text
from ..vcenter.machine import Away, Busy, NoTools, Power
from .context import SHUTDOWN_BY_API, Context, StartedAgain
from .journal import Step

POLL = 0.2  # seconds between two looks while it shuts down
SHUTDOWN = 120.0  # seconds until it can be asked to: it may have another task, such as a snapshot that is removed
WATCH = 1.0  # seconds between two looks whether somebody starts it


async def check_can_shut_down(context: Context, power: Power) -> None:
    """Before anything is begun."""
    options = context.options
    if options.shutdown == SHUTDOWN_BY_API and power.on and not power.tools_running and not options.force_off:
        raise Failure("VMware Tools do not run in the guest, so that it cannot be asked to shut down: start them, give "
                      "--shutdown COMMAND, or allow that it is switched off (--force-off)")


async def shut_down(context: Context) -> None:
    """It is off when this returns, and the journal says so. Raises Failure if it is not; then the journal is at the rounds
    again."""
    power = await context.vm.power_state()
    now = time.time()
    if power.off:
        context.go_to(Step.OFF, down=context.journal.down or now, off=context.journal.off or now)
        return
    context.go_to(Step.SHUTDOWN, down=now, off=None, ready=None)
    say("the machine is asked to shut down" if context.options.shutdown == SHUTDOWN_BY_API else "the machine is shut down by "
        + context.options.shutdown)
    forced = False
    try:
        await _ask(context)
        await _wait_until_off(context, context.options.deadline)
    except (NoTools, Busy, _NotOff) as e:
        if not context.options.force_off:
            context.go_to(Step.ROUNDS, down=None)
            raise Failure(f"{e}; it still runs, and the same command goes on; --force-off switches it off then") from e
        warn(f"{e}; it is switched off, as --force-off allows")
        with context.interruption.scope():
            await context.vm.power_off()
        await _wait_until_off(context, context.options.deadline)
        forced = True
    off = time.time()
    context.go_to(Step.OFF, off=off, shutdown_seconds=off - now, forced=forced)
    say(f"the machine is off, after {text.duration(off - now)}")


class _NotOff(Failure):
    pass


async def _ask(context: Context) -> None:
    if context.options.shutdown == SHUTDOWN_BY_API:
        with context.interruption.scope():
            await context.vm.shutdown_guest(min(SHUTDOWN, context.options.deadline))
        return
    facts = {"hook": "shutdown", "plan": context.plan.path, "vm": context.machine.name}
    with context.interruption.scope():
        failure = await run_program(bound_to_parent(["sh", "-c", context.options.shutdown]), facts, context.options.deadline)
    if failure:
        raise _NotOff(f"the command of --shutdown {failure}")


async def _wait_until_off(context: Context, deadline: float) -> None:
    """Raises _NotOff."""
    end = time.monotonic() + deadline
    asked = ""
    while time.monotonic() < end:
        with context.interruption.scope():
            power = await look(context)
            if power is not None and power.off:
                return
            if power is not None and power.question and power.question != asked:
                asked = power.question
                warn(f"the virtual machine has a question that is to be answered in vSphere: {asked}")
            await asyncio.sleep(POLL)
    raise _NotOff(f"the machine has not shut down within {text.duration(deadline)}")


async def look(context: Context) -> Power | None:
    """None: the vCenter cannot be asked now."""
    try:
        return await context.vm.power_state()
    except (Away, Busy):
        return None


async def require_off(context: Context) -> None:
    """Raises StartedAgain, or Failure if the vCenter does not answer."""
    power = await context.vm.power_state()
    if not power.off:
        raise started_again(power)


@contextlib.asynccontextmanager
async def watched(context: Context) -> AsyncIterator[None]:
    """Within the block a start of the machine that is seen ends what is being done: StartedAgain is raised."""
    end = asyncio.Event()
    watching = asyncio.create_task(_watch(context, end))
    try:
        yield
    finally:
        end.set()  # a question that is under way is answered
        await watching


class Watch:
    """Looks on which nothing depends but that a start is noticed: whatever the vCenter answers, they go on, unless it refuses
    the login."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._failing = False
        self._refused = False

    async def look(self) -> Power | None:
        """None: it cannot be asked now. That is told once, until it can be asked again."""
        if self._refused:
            return None
        try:
            power = await self._context.vm.power_state()
        except Refused as e:
            warn(f"{e}; the login is not tried again: whether somebody starts the machine is not known any more")
            self._refused = True
            return None
        except (Failure, OSError) as e:
            if not self._failing:
                warn(f"{e}; whether somebody starts the machine is not known until the vCenter can be asked again")
            self._failing = True
            return None
        self._failing = False
        return power


async def _watch(context: Context, end: asyncio.Event) -> None:
    watch = Watch(context)
    while not end.is_set():
        power = await watch.look()
        if power is not None and not power.off:
            context.interruption.end(started_again(power))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WATCH):
                await end.wait()


def started_again(power: Power) -> StartedAgain:
    when = f" ({power.boot_time})" if power.boot_time else ""
    return StartedAgain(f"somebody has started the machine again{when} after it was off")
