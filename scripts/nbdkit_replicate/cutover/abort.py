# SPDX-License-Identifier: BSD-3-Clause
"""Putting the source back: it is started if it was running before, and what was made for the hand-over is taken away. The
restore points stay, and the next run goes on from them."""
from ..messages import Failure, say
from ..states import disks_with_state
from ..vcenter.machine import State
from .context import Context
from .journal import Step
from .overlays import check_unused, overlay_path
from .pulling import end_pulling

STARTED = 120.0  # seconds until a machine that was started is on


async def abort(context: Context) -> None:
    """May be repeated. Raises Failure."""
    journal = context.journal
    if journal.step == Step.ABORTED:
        say("the cutover has been aborted already: there is nothing to do")
        return
    images = journal.images or _begun(context)
    check_unused(images)

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
    await end_pulling(context, images)
    context.go_to(Step.ABORTED, down=None, off=None, ready=None, ended=None, images=(), rounds=(), at=None, at_text="",
                  was_on=None, predicted=None, last="", pulled=False, snapshot="")
    say("the cutover is aborted; the next run goes on from the restore points that there are")


def _begun(context: Context) -> tuple[tuple[str, str], ...]:
    """Those of a cutover that was interrupted before the journal named them."""
    machine = context.machine
    disks = disks_with_state(machine.states) or [machine.single_disk]
    return tuple((disk, overlay_path(machine, disk)) for disk in disks)
