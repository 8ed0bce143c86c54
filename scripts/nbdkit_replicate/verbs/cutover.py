# SPDX-License-Identifier: BSD-3-Clause
"""Migrate a machine of a plan with a downtime that was agreed on.

Increments are copied while it runs, until the last one fits the downtime; then it is shut down, the last increment is
copied and verified, and it is handed over. The same command goes on if it is interrupted."""
import argparse
import asyncio
import dataclasses
import datetime

from ..cutover.abort import abort
from ..cutover.context import SHUTDOWN_BY_API, Context, Options
from ..cutover.cutover import Cutover
from ..cutover.journal import Journal, Step, read_journal, write_journal
from ..cutover.moments import is_of_the_past, moment_of
from ..many.locks import machine_held
from ..many.replications import vm_of
from ..many.selection import Choice, Selection
from ..messages import Failure, WrongUse, about
from ..plan.plan import Machine, Plan
from ..plan.reading import read_plan
from ..plan.values import duration_of
from ..report import view
from ..report.recorder import Recorder
from ..report.records import records_directory
from ..report.view import View, style_of, view_of
from ..run.interruption import Interruption
from ..run.result import Result
from ..vcenter.machine import Session, can_ask
from .run import check_plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", metavar="PLAN", help="file of the plan, see nbdkit-replicate.plan(5)")
    parser.add_argument("vm", metavar="VM", help="the machine of it")
    parser.add_argument("--downtime", type=_seconds, metavar="TIME",
                        help="how long the machine may be down, such as 60s; required unless --abort is given")
    parser.add_argument("--at", metavar="TIME", help="do not shut it down before: 23:00, or a date and time")
    parser.add_argument("--shutdown", default=SHUTDOWN_BY_API, metavar="api|COMMAND",
                        help="how it is shut down: by VMware Tools (default: api), or by this command of a shell")
    parser.add_argument("--shutdown-deadline", type=_seconds, default=300.0, metavar="TIME",
                        help="how long the guest may take to shut down (default: 5m)")
    parser.add_argument("--shutdown-time", type=_seconds, metavar="TIME",
                        help="how long it will take, for the prediction (default: what it took the last time)")
    parser.add_argument("--force-off", action="store_true", help="switch it off if it does not shut down")
    parser.add_argument("--then", metavar="COMMAND", help="command of a shell that takes the machine over")
    parser.add_argument("--pull", action="store_true",
                        help="do not wait for the last increment: the images are served at once, and fetch it meanwhile")
    parser.add_argument("--abort", action="store_true", help="end a cutover: start the source again if it was running")
    parser.add_argument("--build", metavar="DIRECTORY", help="use the modules in this build tree")
    view.add_arguments(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="enable verbose messages of the servers")


def execute(arguments: argparse.Namespace) -> int:
    if arguments.downtime is None and not arguments.abort:
        raise WrongUse("give --downtime, such as --downtime 60s: how long the machine may be down")
    plan = read_plan(arguments.plan, arguments.build)
    check_plan(plan)
    if not can_ask():
        raise Failure("a cutover needs VMware's client for Python: install python3-pyvmomi")
    with view_of(style_of(arguments, several=True)) as shown:
        return asyncio.run(_execute(plan, arguments, shown)).value


async def _execute(plan: Plan, arguments: argparse.Namespace, shown: View) -> Result:
    interruption = Interruption()
    selection = Selection(plan, Choice((arguments.vm,), any_time=True, verbose=arguments.verbose))
    with interruption.handle_signals():
        with interruption.scope():
            machine, = await selection.machines()
        vcenter = next((one for one in plan.vcenters if one.name == machine.vcenter), None)
        if vcenter is None:
            raise WrongUse(f"{plan.path}: {machine.name} is no machine of a vCenter: only those can be cut over")
        if failure := selection.vcenters.failure(machine.vcenter):
            raise failure
        with about(vm=machine.name, vm_shown=True), machine_held(machine):
            journal = _journal(machine, arguments)
            async with Session(vcenter) as session:
                with interruption.scope():
                    vm = await session.machine(vm_of(machine))
                context = Context(plan, machine, _options(arguments), selection.vcenters, interruption,
                                  lambda: [shown, Recorder(records_directory(machine.states))], vm, journal)
                if arguments.abort:
                    with interruption.scope():
                        await abort(context)
                    return Result.DONE
                return await Cutover(context).run()


def _options(arguments: argparse.Namespace) -> Options:
    return Options(
        downtime=arguments.downtime or 0.0, shutdown=arguments.shutdown, deadline=arguments.shutdown_deadline,
        shutdown_time=arguments.shutdown_time, force_off=arguments.force_off, then=arguments.then, pull=arguments.pull,
        verbose=arguments.verbose)


def _journal(machine: Machine, arguments: argparse.Namespace) -> Journal:
    """That of an interrupted cutover, with what this command says; or a new one."""
    journal = read_journal(machine.states)
    if arguments.abort:
        if journal is None:
            raise Failure("there is no cutover of this machine")
        return journal
    if journal is None or journal.step == Step.ABORTED:
        journal = Journal(machine.name, shutdown_seconds=journal.shutdown_seconds if journal else None)
    if journal.step == Step.DONE:
        return journal
    at, now = journal.at, datetime.datetime.now().astimezone()
    over = journal.step == Step.ROUNDS and at is not None and is_of_the_past(journal.at_text, at, now)
    if over or (arguments.at or "") != journal.at_text:
        at = moment_of(arguments.at, now) if arguments.at else None
    journal = dataclasses.replace(journal, downtime=arguments.downtime, at_text=arguments.at or "", at=at)
    write_journal(machine.states, journal)
    return journal


def _seconds(text: str) -> float:
    found = duration_of(text)
    if found is None:
        raise argparse.ArgumentTypeError(f'"{text}" is not a duration such as 60s, 5m or 1h30m')
    return found.total_seconds()
