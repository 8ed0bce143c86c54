# SPDX-License-Identifier: BSD-3-Clause
"""Check restore points without the source.

The tables of each image of a point are checked (qemu-img check), and everything is read and compared with the digests that were
kept when the point was written: bits that have rotted and images that were exchanged are found."""
import argparse
import asyncio

from ..messages import Failure, Level, about, say
from ..points.choice import choose
from ..points.machines import MachinePoints, add_arguments as add_machines, chosen_machines
from ..points.points import Point, Status
from ..programs.directory import RunDirectory
from ..restore.checking import Checker
from ..restore.signals import ended_by_signals


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_machines(parser)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--at", metavar="TIME|NAME", help="the last restore point of that time or before, or the one of that "
                        "name (default: the latest of which all disks are complete)")
    chosen.add_argument("--all", action="store_true", help="all restore points")
    parser.add_argument("--disk", metavar="DISK", help="only this disk (default: all of the machine)")
    parser.add_argument("--build", metavar="DIRECTORY", help="use the modules in this build tree")


def execute(arguments: argparse.Namespace) -> int:
    machines = chosen_machines(arguments)
    if not machines:
        raise Failure("there are no restore points")
    return 0 if asyncio.run(_verify(machines, arguments)) else 1


async def _verify(machines: list[MachinePoints], arguments: argparse.Namespace) -> bool:
    right = True
    with ended_by_signals(), RunDirectory() as directory:
        checker = Checker(arguments.build, directory)
        for machine in machines:
            with about(vm=machine.name, vm_shown=True):
                try:
                    points = _points(machine, arguments)
                except Failure as e:
                    say(str(e), Level.ERROR)
                    right = False
                    continue
                for point in points:
                    right = await _check(checker, point) and right
    return right


def _points(machine: MachinePoints, arguments: argparse.Namespace) -> list[Point]:
    if not arguments.all:
        return choose(machine, arguments.at, arguments.disk)[0]
    points = [point for point in machine.points if arguments.disk in (None, point.disk)]
    return [point for point in points if point.status != Status.INCOMPLETE]


async def _check(checker: Checker, point: Point) -> bool:
    with about(disk=point.disk):
        faults = await checker.faults(point)
        for fault in faults:
            say(f"{point.path}: {fault}", Level.ERROR)
        if not faults:
            unknown = "its tables are right; it has no digests, so its content is not known"
            say(f"{point.path}: {'its content is right' if point.has_digests else unknown}")
    return not faults
