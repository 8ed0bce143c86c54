# SPDX-License-Identifier: BSD-3-Clause
"""A cutover, in its order. The journal says which step may have been begun; whatever was interrupted begins there again."""
import time

from ..messages import say, warn
from ..report import text
from ..report.records import amend_record, records_directory
from ..run.result import Result
from . import handover
from .context import Context, StartedAgain
from .deciding import bring_near
from .journal import Step
from .moments import text_of
from .overlays import create_overlays, images_of
from .power import check_can_shut_down, require_off, shut_down, started_again, watched
from .rounds import run_round


class Cutover:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self) -> Result:
        """Raises Failure or OSError; the journal says where the same command goes on."""
        context = self._context
        if context.journal.step == Step.DONE:
            say(f"it was handed over at {text_of(context.journal.ended or 0.0)}; {handover.describe(context)}")
            return Result.DONE
        result = Result.DONE
        try:
            await self._begin()
            if context.journal.step == Step.ROUNDS:
                await bring_near(context)
            if context.journal.step in (Step.ROUNDS, Step.SHUTDOWN):
                await shut_down(context)
            async with watched(context):
                if context.journal.step == Step.OFF:
                    result = await self._copy_last()
                await self._hand_over()
        except StartedAgain:
            context.go_to(Step.ROUNDS, down=None, off=None, ready=None)
            raise
        return result

    async def _begin(self) -> None:
        """Where an interrupted cutover was, by the journal and by what the machine does now."""
        context = self._context
        with context.interruption.scope():
            power = await context.vm.power_state()
        step = context.journal.step
        if step in (Step.OFF, Step.HANDOVER) and not power.off:
            raise started_again(power)
        if step == Step.SHUTDOWN and not power.off:
            warn("an interrupted cutover has asked the machine to shut down, and it runs: there are more rounds")
            context.go_to(Step.ROUNDS, down=None)
        elif step != Step.ROUNDS:
            say(f"an interrupted cutover goes on: the machine is off since {text_of(context.journal.off or time.time())}")
        await check_can_shut_down(context, power)

    async def _copy_last(self) -> Result:
        """The last increment, from the machine that is off. If this is interrupted there is one more, as nobody knows whether the
        machine was off all the time."""
        context = self._context
        last = await run_round(context, None, waited=False, last=True)
        await create_overlays(context.machine, last.points)
        with context.interruption.scope():
            await require_off(context)
        context.go_to(Step.HANDOVER, last=last.round.time, ready=time.time(),
                      images=images_of(context.machine, last.points))
        self._tell()
        return last.result

    def _tell(self) -> None:
        context = self._context
        journal = context.journal
        say(handover.describe(context))
        if (journal.measured or 0.0) > journal.downtime:
            warn(f"the downtime is longer than the {text.duration(journal.downtime)} that were agreed on")
        amend_record(records_directory(context.machine.states), journal.last, downtime=journal.measured,
                     predicted_downtime=journal.predicted)

    async def _hand_over(self) -> None:
        context = self._context
        began = time.time()
        await handover.hand_over(context)
        context.go_to(Step.DONE, ended=time.time())
        took = time.time() - began if context.options.then else None
        say(f"the machine is handed over; {handover.describe(context, took)}")
