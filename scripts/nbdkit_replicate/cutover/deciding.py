# SPDX-License-Identifier: BSD-3-Clause
"""Rounds while the machine runs, until it can be shut down: the last round fits the downtime, and --at is reached."""
import asyncio
import dataclasses
import time
from collections.abc import Sequence

from ..messages import Failure, say
from ..parameters import is_false, value
from ..states import disks_with_state
from . import convergence
from .context import Context
from .journal import Round
from .moments import text_of
from .power import look
from .prediction import Prediction, copies_all, predict, predict_start
from .rounds import run_round

AHEAD = 1.5  # of the time of a round: so long before --at the last round before it begins
LOOK = 2.0  # seconds between two looks at the power state while nothing else is done


async def bring_near(context: Context) -> None:
    """Returns when the machine can be shut down, or is off. Raises Failure if the rounds do not get short enough."""
    waited, before = True, len(context.journal.rounds)
    while True:
        if not await _is_on(context):
            if await _may_end(context):
                return
            waited = True
            continue
        one = await _round(context, waited)
        _check_can_pull(context, context.journal.rounds[before:])
        prediction = _prediction(context, time.time())
        if prediction is not None:
            say(convergence.of_prediction(prediction, context.journal.rounds, context.options.pull))
        waited = False
        until = _left(context)
        if until <= 0:
            if _is_enough(context, prediction):
                _decide(context, prediction)
                return
            if not convergence.fits(prediction, context.options.downtime):
                _check_convergence(context, prediction)
        elif until > _ahead(one) and _tells_changes(context) or _fits_at(context, time.time() + until):
            waited = True
            if await _wait(context, until, one):
                return


def _check_can_pull(context: Context, rounds: Sequence[Round]) -> None:
    """rounds: of this command, as change tracking may have been switched on before it. Raises Failure."""
    if context.options.pull and _lacks_changes(context, rounds):
        raise Failure("each round copies whole disks, as nothing tells what has changed on them: with --pull the last "
                      "increment could not be fetched; switch changed block tracking on (cbt=on of nbdkit-vsphere-plugin(1)), "
                      "or give the same command without --pull, which copies the whole disks while the machine is off; "
                      "nothing has been shut down")


def _tells_changes(context: Context) -> bool:
    """As far as --pull depends on it: after a round of whole disks another one shows whether that was the only one."""
    return not context.options.pull or not context.journal.rounds[-1].full or not _show_tracking(context)


def _lacks_changes(context: Context, rounds: Sequence[Round]) -> bool:
    return copies_all(rounds) and _show_tracking(context)


def _show_tracking(context: Context) -> bool:
    """Whether rounds of whole disks mean that nothing tells what has changed: not where the plan wants full points alone."""
    return context.machine.longest_chain != 1 or is_false(value(context.machine.source.parameters, "cbt") or "")


def _decide(context: Context, prediction: Prediction | None) -> None:
    context.save(dataclasses.replace(context.journal, predicted=prediction.seconds if prediction else None,
                                     shutdown_known=_known_shutdown_time(context) is not None))


def _is_enough(context: Context, prediction: Prediction | None) -> bool:
    """Not before one prediction at least has been compared with what came of it."""
    options = context.options
    if prediction is None or not _tells_changes(context) or not any(one.error is not None for one in context.journal.rounds):
        return False
    if not convergence.fits(prediction, options.downtime) or not options.pull:
        return convergence.fits(prediction, options.downtime)
    # What is left is fetched while it is used; it is little once the rounds do not get much shorter.
    rounds = context.journal.rounds
    whole = predict(rounds, time.time(), shutdown_time(context))
    return convergence.fits(whole, options.downtime) or convergence.shrinks_no_more(rounds, 2)


async def _is_on(context: Context) -> bool:
    """Raises Failure if it is suspended: its disks are not of one instant with its memory."""
    with context.interruption.scope():
        power = await context.vm.power_state()
    if not power.on and not power.off:
        raise Failure("the machine is suspended: resume it, or switch it off")
    if power.on and context.journal.was_on is None:
        context.save(dataclasses.replace(context.journal, was_on=True))
    return power.on


async def _may_end(context: Context) -> bool:
    """It is off without our doing. Before --at it may be started again."""
    left = _left(context)
    if left <= 0:
        return True
    say(f"the machine is off; the cutover goes on at {text_of(time.time() + left)}")
    while (left := _left(context)) > 0:
        with context.interruption.scope():
            await asyncio.sleep(min(LOOK, left))
            power = await look(context)
        if power is not None and power.on:
            return False
    return False  # it is looked at once more


async def _wait(context: Context, until: float, one: Round) -> bool:
    """For --at, or until a last round before it is due. True: the machine can be shut down."""
    end = time.time() + until
    fitting = _fits_at(context, end)
    begin = end if fitting else end - _ahead(one)
    say(f"waiting until {text_of(begin)}" + ("" if fitting else f": the last round before {text_of(end)}"))
    while time.time() < begin:
        with context.interruption.scope():
            await asyncio.sleep(min(LOOK, max(0.0, begin - time.time())))
            power = await look(context)
        if power is not None and power.off:
            return False
    prediction = _prediction(context, time.time())
    if not fitting or not convergence.fits(prediction, context.options.downtime):
        return False
    _decide(context, prediction)
    return True


def _ahead(one: Round) -> float:
    return AHEAD * (one.seconds + one.hooks)


def _fits_at(context: Context, moment: float) -> bool:
    return _tells_changes(context) and convergence.fits(_prediction(context, moment), context.options.downtime)


def _left(context: Context) -> float:
    """Seconds until --at."""
    return (context.journal.at or 0.0) - time.time()


async def _round(context: Context, waited: bool) -> Round:
    prediction = predict(context.journal.rounds, time.time())
    one = (await run_round(context, prediction.seconds if prediction else None, waited)).round
    context.save(dataclasses.replace(context.journal, rounds=(*context.journal.rounds, one)))
    say(convergence.of_round(len(context.journal.rounds), one))
    return one


def _prediction(context: Context, moment: float) -> Prediction | None:
    if context.options.pull:
        return predict_start(context.journal.rounds, shutdown_time(context))
    return predict(context.journal.rounds, moment, shutdown_time(context))


def shutdown_time(context: Context) -> float:
    """Seconds that shutting down will take, as far as that is known."""
    return _known_shutdown_time(context) or 0.0


def _known_shutdown_time(context: Context) -> float | None:
    given = context.options.shutdown_time
    return given if given is not None else context.journal.shutdown_seconds


def _check_convergence(context: Context, prediction: Prediction | None) -> None:
    rounds, options = context.journal.rounds, context.options
    if convergence.shrinks_no_more(rounds):
        limits = context.plan.limits
        helps = convergence.what_helps(not options.pull and not _lacks_changes(context, rounds), limits.source_rate, limits.disks,
                                       len(disks_with_state(context.machine.states)))
        raise Failure(convergence.does_not_converge(rounds, prediction, options.downtime, helps))
