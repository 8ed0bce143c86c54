# SPDX-License-Identifier: BSD-3-Clause
"""Show how the replicas are: the last complete point of each disk, what destinations are owed, the last runs.

Files alone are read: no vCenter is asked, and a run that is under way is not disturbed. The exit status is that of a
monitoring plugin: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
import argparse
import json

from ..files import replace_file
from ..messages import Failure, WrongUse, printable
from ..plan.plan import Plan
from ..plan.reading import read_plan
from ..plan.values import duration_of
from ..points.machines import machines_of_plan
from ..report.status import Grade, MachineStatus, Report, Thresholds, status_of_plan, status_of_state
from ..report.status_text import fields, monitor, print_people


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", nargs="?", metavar="PLAN", help="a plan: nbdkit-replicate.plan(5)")
    parser.add_argument("vms", nargs="*", metavar="VM", help="only these machines of it (default: all)")
    parser.add_argument("--state", action="append", default=[], metavar="FILE|DIRECTORY/",
                        help="instead of a plan: the --state of runs by options; can be repeated")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print an object in JSON")
    form.add_argument("--monitor", action="store_true", help="print one line, as a monitoring plugin")
    parser.add_argument("--html", metavar="FILE", help="write a page; print nothing else unless that is asked for")
    parser.add_argument("--metrics", nargs="?", const="", metavar="FILE",
                        help="write metrics for node_exporter's textfile collector (default: the plan's metrics)")
    parser.add_argument("--stale-after", type=_duration, metavar="TIME",
                        help="age of the last complete point from which it is a warning, such as 26h (default: the plan's)")
    parser.add_argument("--critical-after", type=_duration, metavar="TIME", help="the same for critical, such as 50h")


def execute(arguments: argparse.Namespace) -> int:
    try:
        return _execute(arguments)
    except (Failure, OSError) as e:
        if not arguments.monitor:
            raise
        print(printable(f"{Grade.UNKNOWN.name}: {e}").replace("|", "/"))
        return int(Grade.UNKNOWN.value)


def _execute(arguments: argparse.Namespace) -> int:
    if (arguments.plan is None) == (not arguments.state):
        raise WrongUse("give a plan, or --state" if arguments.plan is None else "give a plan or --state, not both")
    plan = read_plan(arguments.plan) if arguments.plan is not None else Plan("", ())
    report = Report(_machines(arguments), _thresholds(arguments, plan))
    _write(arguments, plan, report)
    if arguments.json:
        print(json.dumps(fields(report), indent=1))
    elif arguments.monitor:
        print(monitor(report))
    elif arguments.html is None and arguments.metrics is None:
        print_people(report)
    return int(report.overall.value)


def _machines(arguments: argparse.Namespace) -> tuple[MachineStatus, ...]:
    if arguments.state:
        return tuple(status_of_state(state) for state in arguments.state)
    return status_of_plan(machines_of_plan(arguments.plan, arguments.vms))


def _thresholds(arguments: argparse.Namespace, plan: Plan) -> Thresholds:
    stale = arguments.stale_after if arguments.stale_after is not None else plan.stale_after.total_seconds()
    critical = arguments.critical_after if arguments.critical_after is not None else plan.critical_after.total_seconds()
    return Thresholds(stale, max(stale, critical) if arguments.critical_after is None else critical)


def _write(arguments: argparse.Namespace, plan: Plan, report: Report) -> None:
    if arguments.html is not None:
        from ..report.html import page
        replace_file(arguments.html, page(report, plan.name), 0o644)
    if arguments.metrics is not None:
        path = arguments.metrics or plan.metrics
        if not path:
            raise WrongUse("--metrics: give a file, as the plan names none")
        from ..report.metrics import write_metrics
        write_metrics(path, report.machines, plan.name)


def _duration(text: str) -> float:
    found = duration_of(text)
    if found is None:
        raise argparse.ArgumentTypeError(f'"{text}" is not a duration such as 90s, 30m, 26h or 2d')
    return found.total_seconds()
