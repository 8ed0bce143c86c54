# SPDX-License-Identifier: BSD-3-Clause
"""What the machine is, saved beside its images: the .vmx and .nvram as they are in the datastore, definition.json, and a libvirt
domain with the images that are handed over as its disks."""
import os
from collections.abc import Mapping, Sequence

from ..contract import DISK
from ..definition.definition import FILE_NAME, from_json, to_json
from ..files import make_directory, replace_file
from ..messages import warn
from ..plan.plan import Machine
from ..points.points import Point
from .context import Context
from .overlays import images_of

DEFINITION = FILE_NAME
DOMAIN = "domain.xml"


def directory_of(machine: Machine) -> str:
    """Beside the images."""
    folder = os.path.dirname(machine.images)
    while DISK in folder:
        folder = os.path.dirname(folder)
    return os.path.join(folder, f"{machine.name}-cutover")


async def save_definition(context: Context, points: Sequence[Point], sockets: Mapping[str, str] | None = None) -> None:
    """sockets: of the servers of --pull, by disk."""
    directory = directory_of(context.machine)
    make_directory(directory)
    definition = from_json(await context.vm.definition())
    await context.vm.download(directory)
    images = dict(images_of(context.machine, points))
    left_out = [disk.name for disk in definition.disks if disk.name not in images]
    if left_out and not context.journal.rounds:
        warn(f"the plan does not copy the disks {', '.join(left_out)}: they are not in the domain")
    replace_file(os.path.join(directory, DEFINITION), to_json(definition))
