# SPDX-License-Identifier: BSD-3-Clause
"""A cutover, in its order. The journal says which step may have been begun; whatever was interrupted begins there again."""
import time

from ..messages import Failure, say, warn
from ..run.result import Result
from ..states import disks_with_state
from . import handover
from .context import Context, StartedAgain
from .deciding import bring_near
from .journal import Step
from .moments import text_of
from .overlays import are_taken, create_overlays, images_of
from .power import check_can_shut_down, require_off, shut_down, started_again, watched
from .pull_state import is_changed, is_used, owed
from .pulling import check_sockets, pull_last, take_back
from .rounds import run_round
from .serving import remove_snapshot

_ONE_MORE = "; there is one more increment, as nobody knows whether it was off all the time"
_REST = "; the rest is fetched from its snapshot"
_NO_MORE = ("; nothing more is copied, as an image is in use or has been written to: if the machine has run here since then, "
            "--abort and begin anew")


class Cutover:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self) -> Result:
        """Raises Failure or OSError; the journal says where the same command goes on."""
        context = self._context
        if context.journal.step == Step.DONE:
            say(f"it was handed over at {text_of(context.journal.ended or 0.0)}; {handover.describe(context)}")
            if context.journal.snapshot:  # nothing is done if it is not there any more
                with context.interruption.scope():
                    await remove_snapshot(context)
            return Result.DONE
        result = Result.DONE
        try:
            await self._begin()
            if context.journal.step == Step.ROUNDS:
                await bring_near(context)
            if context.journal.step in (Step.ROUNDS, Step.SHUTDOWN):
                await shut_down(context)
            if context.options.pull and context.journal.step == Step.OFF or context.journal.pulled:
                await pull_last(context)
                return result
            async with watched(context):
                if context.journal.step == Step.OFF:
                    result = await self._copy_last()
                await self._hand_over()
        except Failure as e:
            why = e if isinstance(e, StartedAgain) else context.interruption.why
            if not isinstance(why, StartedAgain):
                raise
            raise self._begin_again(why) from e
        return result

    def _begin_again(self, why: StartedAgain) -> Failure:
        """What has been copied is not the machine any more."""
        context = self._context
        begun = context.journal.step == Step.HANDOVER and context.options.then is not None
        context.go_to(Step.ROUNDS, down=None, off=None, ready=None, pulled=False)
        if not begun:
            return why
        return Failure(f"{why.what}: the cutover has ended; the command of --then had been begun, see what it has done; "
                       "the same command begins again")

    async def _begin(self) -> None:
        """Where an interrupted cutover was, by the journal and by what the machine does now."""
        context = self._context
        with context.interruption.scope():
            power = await context.vm.power_state()
        step = context.journal.step
        taken = step == Step.HANDOVER and await self._is_taken_over()
        if context.journal.snapshot and not taken:
            await take_back(context)
        if step in (Step.OFF, Step.HANDOVER) and not power.off and not (taken and context.journal.pulled):
            raise started_again(power)
        if step == Step.SHUTDOWN and not power.off:
            warn("an interrupted cutover has asked the machine to shut down, and it runs: there are more rounds")
            context.go_to(Step.ROUNDS, down=None)
        elif step != Step.ROUNDS:
            again = step == Step.HANDOVER and not taken
            off = text_of(context.journal.off or time.time())
            say("an interrupted cutover goes on: the machine " +
                (f"is off since {off}" if power.off else f"was off at {off}, and has been started again") +
                (_ONE_MORE if again else self._what_is_copied() if taken else ""))
            if again:
                context.go_to(Step.OFF, ready=None, pulled=False)
        if context.journal.step == Step.ROUNDS:
            await check_can_shut_down(context, power)
        if context.options.pull:
            check_sockets(context, disks_with_state(context.machine.states) or [context.machine.single_disk])

    def _what_is_copied(self) -> str:
        """After the images have begun to be used."""
        journal = self._context.journal
        left = journal.pulled and owed(self._context.machine, [disk for disk, _ in journal.images])
        return _REST if left else _NO_MORE

    async def _is_taken_over(self) -> bool:
        """The images tell that the command of --then has begun to use them, and perhaps started the machine at its
        destination."""
        machine, images = self._context.machine, self._context.journal.images
        if self._context.journal.pulled:
            return any(is_used(machine, disk) or is_changed(machine, disk, path) and not owed(machine, [disk])
                       for disk, path in images)
        return await are_taken(images)

    async def _copy_last(self) -> Result:
        """The last increment, from the machine that is off. If this is interrupted there is one more, as nobody knows
        whether the machine was off all the time."""
        context = self._context
        last = await run_round(context, None, waited=False, last=True)
        await create_overlays(context.machine, last.points)
        with context.interruption.scope():
            await require_off(context)
        context.go_to(Step.HANDOVER, last=last.round.time, ready=time.time(),
                      images=images_of(context.machine, last.points))
        handover.tell(context)
        return last.result

    async def _hand_over(self) -> None:
        context = self._context
        began = time.time()
        await handover.hand_over(context)
        context.go_to(Step.DONE, ended=time.time())
        took = time.time() - began if context.options.then else None
        say(f"the machine is handed over; {handover.describe(context, took)}")
