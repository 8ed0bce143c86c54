# SPDX-License-Identifier: BSD-3-Clause
"""Tell what a run of a plan would copy, and how long that would take. Nothing is copied."""
import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import Any

from ..many.estimation import DiskEstimate, Estimate, Estimation
from ..many.selection import Choice
from ..many.shard import Shard
from ..plan.reading import read_plan
from ..report import text
from ..run.result import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", metavar="PLAN", help="file of the plan, see nbdkit-replicate.plan(5)")
    parser.add_argument("machines", nargs="*", metavar="VM", help="only these machines")
    parser.add_argument("--shard", metavar="I/N", help="only the part of host I of N")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each machine, a line each")
    parser.add_argument("--build", metavar="DIRECTORY", help="use the modules in this build tree")
    parser.add_argument("-v", "--verbose", action="store_true", help="enable verbose messages of the servers")


def execute(arguments: argparse.Namespace) -> int:
    plan = read_plan(arguments.plan, arguments.build)
    shard = Shard.parse(arguments.shard) if arguments.shard else Shard()
    choice = Choice(tuple(arguments.machines), shard, any_time=True, verbose=arguments.verbose)
    estimates = asyncio.run(Estimation(plan, choice).run())
    if arguments.json:
        for one in estimates:
            print(json.dumps(_fields(one)))
    else:
        _print(estimates)
    return Result.of_all([one.result for one in estimates]).value


def _print(estimates: Sequence[Estimate]) -> None:
    for one in estimates:
        if one.result != Result.DONE:
            print(f"{one.vm}: {one.cause}")
        for disk in one.disks:
            print(f"{one.vm} disk {disk.disk}: {_of_disk(disk)}")
    disks = [disk for one in estimates for disk in one.disks]
    if len(disks) > 1:
        print(f"{len(disks)} disks: {text.size(sum(disk.changed for disk in disks))} of "
              f"{text.size(sum(disk.size for disk in disks))}")


def _of_disk(disk: DiskEstimate) -> str:
    kind = "the whole disk" if disk.full else f"{text.size(disk.changed)} of {text.size(disk.size)}"
    changed = f"{text.size(disk.changed)} " if disk.full else ""
    areas = f"{changed}in {disk.areas} area" + ("" if disk.areas == 1 else "s")
    time = "no earlier run to tell the time" if disk.seconds is None else f"about {text.duration(disk.seconds)}"
    return f"{kind}, {areas}, {time}"


def _fields(one: Estimate) -> dict[str, Any]:
    return {"vm": one.vm, "result": one.result.name.lower(), "cause": one.cause,
            "disks": [{"disk": disk.disk, "size": disk.size, "changed": disk.changed, "areas": disk.areas,
                       "full": disk.full, "seconds": disk.seconds} for disk in one.disks]}
