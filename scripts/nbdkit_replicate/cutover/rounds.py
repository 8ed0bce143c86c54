# SPDX-License-Identifier: BSD-3-Clause
"""One round: an ordinary run of the machine, and what else has to be done before the machine can be handed over. Each round
does what the last one will do, so that its time is known then, and what cannot be done is found out while the machine
runs."""
import time
from dataclasses import dataclass

from ..many.planned_run import PlannedRun
from ..messages import RUN_AGAIN, Failure, warn
from ..points.points import Point
from ..report.run import RunReport
from ..run.result import Result
from ..vcenter.machine import Away, Busy
from .context import Context
from .definition import save_definition
from .journal import Round
from .measuring import Measure
from .overlays import copies_of, rehearse_overlays
from .power import look
from .verification import points_of_run, verify


@dataclass(frozen=True)
class Finished:
    round: Round
    points: list[Point]  # that it has made
    result: Result  # DONE, or BEHIND


async def run_round(context: Context, predicted: float | None, waited: bool, last: bool = False) -> Finished:
    """last: the machine is off. Raises Failure or OSError if it is not complete."""
    measure = Measure()
    run = PlannedRun(context.plan, context.machine, context.vcenters, context.interruption, context.options.verbose,
                     not last)
    report = RunReport(context.machine.name, [*context.listeners(), run.heed, measure])
    result = await run.run(report)
    if result == Result.BEHIND:
        warn(f"{report.record.cause}; the cutover goes on without it")
    elif result != Result.DONE:
        raise Failure(report.record.cause or f"the copy is not complete, see above; {RUN_AGAIN}")
    points = points_of_run(context.machine, report.record)
    if last or not measure.full or (context.journal.rounds and context.journal.rounds[-1].full):
        with context.interruption.scope():
            await verify(context, points)
    if not last and not context.options.pull:
        with context.interruption.scope():
            await rehearse_overlays(context.machine, points)
            await look(context)  # as after the last increment
    verified = time.time()
    try:
        with context.interruption.scope():
            await save_definition(context, copies_of(context.machine, points, context.options.pull))
    except (Away, Busy) as e:
        if not last or not context.journal.rounds:
            raise
        warn(f"{e}: the definition is that of the round before")
    now = time.time()
    one = Round(report.record.time, measure.began, measure.instant, now - measure.began - report.hooks, measure.copying,
                measure.changed, measure.full, predicted, waited, measure.data, measure.start, now - verified, measure.size,
                report.hooks)
    return Finished(one, points, result)
