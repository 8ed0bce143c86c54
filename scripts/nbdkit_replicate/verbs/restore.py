# SPDX-License-Identifier: BSD-3-Clause
"""Write restore points to files, block devices or NBD servers.

A machine is restored as of one instant: the latest of which all its disks are complete, or that of --at. What is read is
compared with the digests that were kept with the restore point. A target has its name, or its first bytes, only when all of
it has been written."""
import argparse
import asyncio
import sys
from dataclasses import dataclass

from ..contract import DISK
from ..messages import Failure, WrongUse, about, say, warn
from ..points.choice import choose
from ..points.machines import MachinePoints, add_arguments as add_machines, chosen_machines
from ..points.points import Point
from ..programs.directory import RunDirectory
from ..restore.copying import Restore
from ..restore.reading import Reading
from ..restore.signals import ended_by_signals
from ..restore.target import Target, target_of
from ..table import size_text

VM = "{vm}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_machines(parser)
    parser.add_argument("--to", required=True, metavar="TARGET",
                        help="a file, a block device or an NBD URI; {disk} and {vm} in it stand for their names")
    parser.add_argument("--at", metavar="TIME|NAME", help="the last restore point of that time or before, or the one of that "
                        "name (default: the latest of which all disks are complete)")
    parser.add_argument("--disk", metavar="DISK", help="only this disk (default: all of the machine)")
    parser.add_argument("--format", choices=("raw", "qcow2"),
                        help="of a file (default: qcow2 if TARGET ends in .qcow2, else raw)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--unchecked", action="store_true",
                        help="do not compare what is read with the digests: for what is left of a damaged restore point")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="disks at the same time (default: 2)")
    parser.add_argument("--build", metavar="DIRECTORY", help="use the modules in this build tree")
    parser.add_argument("-n", "--dry-run", action="store_true", help="check everything, and say what would be done")


@dataclass(frozen=True)
class Job:
    machine: MachinePoints
    point: Point
    target: Target
    name: str  # of the target


def execute(arguments: argparse.Namespace) -> int:
    machines = chosen_machines(arguments)
    if not machines:
        raise Failure("there are no restore points")
    jobs = [job for machine in machines for job in _jobs(machine, arguments)]
    _check_names(jobs, arguments.to)
    failed = False
    for job in jobs:
        with about(vm=job.machine.name, disk=job.point.disk):
            warning = job.target.check(job.point.top.image.size)
            if warning:
                warn(warning)
            say(f"{job.point.path}, {size_text(job.point.top.image.size)}, as of {job.point.time}, to {job.name}"
                + _unchecked(job.point, arguments.unchecked))
    if not arguments.dry_run:
        failed = not asyncio.run(_restore_all(jobs, arguments))
    return 1 if failed else 0


def _unchecked(point: Point, wanted: bool) -> str:
    if point.has_digests and not wanted:
        return ""
    return "; what is read is not checked" + ("" if wanted else ", as it has no digests")


def _jobs(machine: MachinePoints, arguments: argparse.Namespace) -> list[Job]:
    points, notes = choose(machine, arguments.at, arguments.disk)
    for note in notes:
        with about(vm=machine.name):
            warn(note)
    names = [(point, arguments.to.replace(DISK, point.disk).replace(VM, machine.name)) for point in points]
    return [Job(machine, point, target_of(name, arguments.overwrite, arguments.format), name) for point, name in names]


def _check_names(jobs: list[Job], to: str) -> None:
    if len({job.name for job in jobs}) < len(jobs):
        raise WrongUse(f"--to {to}: several disks would be written to the same place: put {DISK} into it, and {VM} if there "
                       "are several machines, or choose one by --disk")


async def _restore_all(jobs: list[Job], arguments: argparse.Namespace) -> bool:
    slots = asyncio.Semaphore(max(1, arguments.at_once))
    how = Reading(arguments.build, not arguments.unchecked)
    progress = sys.stderr.isatty() and len(jobs) == 1

    async def one(job: Job, directory: RunDirectory) -> bool:
        async with slots:
            with about(vm=job.machine.name, disk=job.point.disk):
                try:
                    await Restore(job.point, job.target, how, directory, progress).run()
                except (Failure, OSError) as e:
                    say(f"{job.name} has not been written: {e}")
                    return False
                say(f"{job.name}: complete")
                return True

    with ended_by_signals(), RunDirectory() as directory:
        return all(await asyncio.gather(*(one(job, directory) for job in jobs)))
