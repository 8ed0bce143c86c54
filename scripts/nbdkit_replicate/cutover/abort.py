# SPDX-License-Identifier: BSD-3-Clause
"""Putting the source back: it is started if it was running before, and what was made for the hand-over is taken away. The restore
points stay, and the next run goes on from them."""
import time

from ..messages import Failure, say
from ..report.records import time_of
from ..vcenter.machine import State
from .context import Context
from .journal import Step
from .overlays import check_unused, remove_overlays

STARTED = 120.0  # seconds until a machine that was started is on


async def abort(context: Context) -> None:
    """May be repeated. Raises Failure."""
    journal = context.journal
    if journal.step == Step.ABORTED:
        say("the cutover has been aborted already: there is nothing to do")
        return
    check_unused(journal.images)
    power = await context.vm.power_state()
    if power.on:
        say("the machine runs: it is left as it is")
    elif not journal.was_on:
        say("the machine is off, as it was before the cutover: it is not started")
    else:
        await context.vm.power_on()
        if await context.vm.wait_for(State.ON, STARTED) is None:
            raise Failure(f"the machine has not started within {STARTED:.0f} seconds")
        say("the machine has been started again")
    for path in await remove_overlays(journal.images, time_of(time.time())):
        say(f"{path}: this has been written to since it was handed over, and is kept by this name")
    context.go_to(Step.ABORTED, down=None, off=None, ready=None, ended=None, images=(), rounds=(), at=None, at_text="",
                  was_on=None, predicted=None, last="", pulled=False)
    say("the cutover is aborted; the next run goes on from the restore points that there are")
