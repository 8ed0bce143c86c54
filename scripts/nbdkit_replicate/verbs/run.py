# SPDX-License-Identifier: BSD-3-Clause
"""Replicate the machines of a plan."""
import argparse
import asyncio
from collections.abc import Sequence

from ..composition.checks import check_replication, warnings
from ..many.checks import look_at_machine
from ..many.locks import plan_held
from ..many.plan_run import Outcome, PlanRun
from ..many.replications import replication_of
from ..many.selection import Choice, Selection
from ..many.shard import Shard
from ..messages import Level, WrongUse, about, say, warn
from ..plan.plan import Machine, Plan
from ..plan.reading import read_plan
from ..points.machines import machines_of_plan
from ..report import view
from ..report.metrics import fresh_metrics
from ..report.recorder import Recorder
from ..report.records import BEHIND, records_directory
from ..report.text import of_machines
from ..report.view import style_of, view_of
from ..run.disk import EXPECTED
from ..run.result import Result

LOOKED_AT = 16  # machines at once, whose destinations are connected to


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", metavar="PLAN", help="file of the plan, see nbdkit-replicate.plan(5)")
    parser.add_argument("machines", nargs="*", metavar="VM", help="only these machines")
    parser.add_argument("--shard", metavar="I/N", help="the plan is shared among N hosts: do the part of host I of them")
    parser.add_argument("--any-time", action="store_true", help="begin machines also outside the time window of the plan")
    parser.add_argument("--build", metavar="DIRECTORY", help="use the modules in this build tree")
    parser.add_argument("-n", "--dry-run", action="store_true",
                        help="check the plan, the vCenters and the destinations, print the names of the machines, start nothing")
    view.add_arguments(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="enable verbose messages of the servers")


def execute(arguments: argparse.Namespace) -> int:
    plan = read_plan(arguments.plan, arguments.build)
    shard = Shard.parse(arguments.shard) if arguments.shard else Shard()
    choice = Choice(tuple(arguments.machines), shard, arguments.any_time, arguments.verbose)
    check_plan(plan)
    if arguments.dry_run:
        return asyncio.run(_print_machines(Selection(plan, choice))).value
    with plan_held(plan, shard), view_of(style_of(arguments, several=True)) as shown:
        outcomes = asyncio.run(_run(plan, PlanRun(plan, choice, lambda machine: [shown, _recorder(machine)])))
        _say_summary(outcomes)
    return Result.of_all([one.result for one in outcomes]).value


async def _run(plan: Plan, run: PlanRun) -> list[Outcome]:
    async with fresh_metrics(plan, lambda: machines_of_plan(plan.path)):
        return await run.run()


async def _print_machines(selection: Selection) -> Result:
    machines = await selection.machines()
    for machine in machines:
        print(machine.name)
    failures = [selection.why(folder) for folder in selection.left]
    for failure in failures:
        say(str(failure), Level.ERROR)
    slots = asyncio.Semaphore(LOOKED_AT)
    looks = await asyncio.gather(*(_look(selection, machine, slots) for machine in machines))
    return Result.of_all([*(Result.of_failure(failure) for failure in failures), *looks])


async def _look(selection: Selection, machine: Machine, slots: asyncio.Semaphore) -> Result:
    """What would keep it from being replicated, as far as that is known before it is begun."""
    vcenters = selection.vcenters
    with about(vm=machine.name, vm_shown=True):
        try:
            if failure := vcenters.failure(machine.vcenter):
                raise failure
            async with slots:
                await look_at_machine(machine, vcenters.inventories.get(machine.vcenter))
        except EXPECTED as e:
            say(str(e), Level.ERROR)
            return Result.of_failure(e)
    return Result.DONE


def _recorder(machine: Machine) -> Recorder:
    return Recorder(records_directory(machine.states))


def check_plan(plan: Plan) -> None:
    """All machines, before any is begun."""
    said = set()
    for machine in (*plan.machines, *(folder.template for folder in plan.folders)):
        replication = replication_of(plan, machine, "")
        try:
            check_replication(replication)
        except WrongUse as e:
            raise WrongUse(f"{plan.path}: {machine.name}: {e}") from e
        said.update(warnings(replication))
    for warning in sorted(said):
        warn(warning)


def _say_summary(outcomes: Sequence[Outcome]) -> None:
    """What is not done, by name, with its cause last. Of a single machine all has been said."""
    if len(outcomes) == 1:
        return
    records = [one.record for one in outcomes]
    count, *failures = of_machines(records)
    say(count)
    behind = sum(record.result == BEHIND for record in records)  # they come first
    for number, line in enumerate(failures):
        say(line, Level.WARNING if number < behind else Level.ERROR)
