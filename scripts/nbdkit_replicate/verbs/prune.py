# SPDX-License-Identifier: BSD-3-Clause
"""Remove the restore points that a plan does not keep.

A point that others lie on is merged into the one above it. The newest complete point of a disk is never touched, and nothing is
while a run copies the disk. What was interrupted is finished by the next prune."""
import argparse
import asyncio
import contextlib
from collections.abc import Sequence

from ..many.locks import machine_held
from ..messages import Failure, Level, about, say
from ..plan.plan import Machine
from ..points.machines import add_arguments as add_machines, machines_of_plan
from ..prune.disk import DiskPrune, Pruned
from ..restore.signals import ended_by_signals
from ..states import disks_with_state
from ..table import size_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_machines(parser, directory=False)
    parser.add_argument("-n", "--dry-run", action="store_true", help="change nothing, say what would be done")


def execute(arguments: argparse.Namespace) -> int:
    return asyncio.run(_prune(machines_of_plan(arguments.plan, arguments.vms), arguments.dry_run))


async def _prune(machines: Sequence[Machine], dry_run: bool) -> int:
    freed, failed = 0, False
    with ended_by_signals():
        for machine in machines:
            with about(vm=machine.name, vm_shown=True):
                try:
                    with contextlib.nullcontext() if dry_run else machine_held(machine):
                        for result in [await _prune_disk(machine, disk, dry_run) for disk in _disks(machine)]:
                            freed, failed = freed + result.freed, failed or result.failed
                except (Failure, OSError) as e:
                    say(str(e), Level.ERROR)
                    failed = True
    say(f"{size_text(max(freed, 0))} {'would be about what is ' * dry_run}freed")
    return 1 if failed else 0


def _disks(machine: Machine) -> list[str]:
    return [disk for disk in disks_with_state(machine.states) if not machine.disks or disk in machine.disks]


async def _prune_disk(machine: Machine, disk: str, dry_run: bool) -> Pruned:
    with about(disk=disk):
        try:
            return await DiskPrune(machine, disk, dry_run, say).run()
        except (Failure, OSError) as e:
            say(str(e), Level.ERROR)
            return Pruned(failed=True)
