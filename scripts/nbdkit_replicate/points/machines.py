# SPDX-License-Identifier: BSD-3-Clause
"""Whose restore points a verb is about: the machines of a plan, or those that a directory has images of."""
import argparse
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..messages import Failure, WrongUse
from ..plan.plan import VM, Folder, Machine
from ..plan.reading import read_plan
from ..states import disks_with_state
from .naming import Naming
from .points import Point, points_in

DEFAULT = "{disk}-{time}.qcow2"  # the names of images in a directory without a plan


@dataclass(frozen=True)
class MachinePoints:
    """The restore points of a machine."""

    name: str
    points: list[Point]
    machine: Machine | None = field(default=None, repr=False)  # None: without a plan

    @property
    def disks(self) -> list[str]:
        """Those that it is known to have."""
        known = disks_with_state(self.machine.states) if self.machine is not None else []
        if self.machine is not None and self.machine.disks:
            known = [disk for disk in known if disk in self.machine.disks]
        return known or sorted({point.disk for point in self.points})


def add_arguments(parser: argparse.ArgumentParser, directory: bool = True) -> None:
    """directory: the verb works without a plan as well."""
    parser.add_argument("plan", nargs="?" if directory else None, metavar="PLAN", help="a plan: nbdkit-replicate.plan(5)")
    parser.add_argument("vms", nargs="*", metavar="VM", help="only these machines of it (default: all)")
    if directory:
        parser.add_argument("--directory", metavar="DIR",
                            help="instead of a plan: a directory with the images of a machine, or with directories of such")


def chosen_machines(arguments: argparse.Namespace) -> list[MachinePoints]:
    directory = getattr(arguments, "directory", None)
    if (directory is None) == (arguments.plan is None):
        raise WrongUse("give a plan" if directory is None else "give a plan, or --directory")
    if directory is not None:
        return list(_machines_of_directory(directory))
    return [points_of(machine) for machine in machines_of_plan(arguments.plan, arguments.vms)]


def points_of(machine: Machine) -> MachinePoints:
    points = points_in(Naming(machine.images))
    if machine.disks:
        points = [point for point in points if point.disk in machine.disks]
    return MachinePoints(machine.name, points, machine)


def machines_of_plan(path: str, names: Sequence[str] = ()) -> list[Machine]:
    """No vCenter is asked: of a folder there are the machines that a run has made states or images for."""
    plan = read_plan(path)
    machines = {machine.name: machine for machine in plan.machines}
    for folder in plan.folders:
        for name in _names_in(folder):
            machines.setdefault(name, folder.template.named(name))
    for name in names:
        if name not in machines:
            raise WrongUse(f"{plan.path}: there is no machine {name} in this plan, or nothing has been copied of it")
    return [machine for name, machine in sorted(machines.items()) if not names or name in names]


def _names_in(folder: Folder) -> Iterator[str]:
    for template in folder.template.states.rstrip("/"), os.path.dirname(folder.template.images):
        if template.count(VM) == 1 and VM in (last := os.path.basename(template)):
            before, after = last.split(VM)
            pattern = os.path.join(glob.escape(os.path.dirname(template)), glob.escape(before) + "*" + glob.escape(after), "")
            for path in glob.glob(pattern):
                name = os.path.basename(path.rstrip("/"))
                yield name[len(before):len(name) - len(after)]


def _machines_of_directory(path: str) -> Iterator[MachinePoints]:
    if not os.path.isdir(path):
        raise Failure(f"{path} is not a directory")
    found = list(_with_points([path]))
    yield from found or _with_points(sorted(entry.path for entry in os.scandir(path) if entry.is_dir()))


def _with_points(paths: Iterable[str]) -> Iterator[MachinePoints]:
    for path in paths:
        points = points_in(Naming(os.path.join(path, DEFAULT)), any_name=True)
        if points:
            yield MachinePoints(os.path.basename(os.path.abspath(path)), points)
