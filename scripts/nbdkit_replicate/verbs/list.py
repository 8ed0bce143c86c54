# SPDX-License-Identifier: BSD-3-Clause
"""Show the restore points of machines.

They are found by the headers of the images alone, so a directory that was copied elsewhere can be listed as well."""
import argparse
import datetime
import json
from collections.abc import Iterable
from typing import Any

from ..points.machines import MachinePoints, add_arguments as add_machines, chosen_machines
from ..points.points import Point
from ..table import print_table, size_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_machines(parser)
    parser.add_argument("--json", action="store_true", help="print an array of objects in JSON")


def execute(arguments: argparse.Namespace) -> int:
    machines = chosen_machines(arguments)
    if arguments.json:
        print(json.dumps([_fields(machine, point) for machine in machines for point in machine.points], indent=1))
    else:
        _print_rows([(machine.name, point) for machine in machines for point in machine.points])
    return 0


def _fields(machine: MachinePoints, point: Point) -> dict[str, Any]:
    mark = point.top.mark
    return {
        "vm": machine.name, "disk": point.disk, "time": point.time, "status": point.status.value, "why": point.why,
        "checkpoint": point.checkpoint, "completed": mark.completed if mark and point.is_complete else None,
        "size": point.top.image.size, "used": point.top.used, "image": point.path, "uuid": point.top.uuid,
        "parent": point.parent, "chain": len(point.chain.images), "digests": point.has_digests,
    }


def _print_rows(points: Iterable[tuple[str, Point]]) -> None:
    rows = [_row(vm, point) for vm, point in points]
    if not rows:
        print("there are no restore points")
        return
    print_table(("vm", "disk", "time", "status", "disk size", "used", "chain", "digests", "image"), rows, right=(4, 5, 6))


def _row(vm: str, point: Point) -> tuple[str, ...]:
    top, image = point.top, point.path + (f": {point.why}" if point.why else "")
    return (vm, point.disk, _local(point), point.status.value, size_text(top.image.size), size_text(top.used),
            str(len(point.chain.images)), "yes" if point.has_digests else "no", image)


def _local(point: Point) -> str:
    if point.when.year == datetime.MINYEAR:
        return point.time
    return point.when.astimezone().strftime("%Y-%m-%d %H:%M:%S")
