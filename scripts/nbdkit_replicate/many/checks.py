# SPDX-License-Identifier: BSD-3-Clause
"""What is found out of a machine before its snapshot is made.

What cannot go well raises Failure. A further destination that cannot be written is a warning, as the copy goes on without it,
unless the plan says fanout-on-error=fail.
"""
import asyncio
import difflib
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator
from dataclasses import dataclass

from ..composition.replication import Destination
from ..contract import destination_name
from ..images import is_in_use
from ..messages import Failure, mib, warn
from ..parameters import value
from ..plan.plan import Machine
from ..points.naming import Naming
from ..points.store import Folder
from ..programs.process import bound_to_parent
from ..states import disks_with_state, held, read_state, state_path
from ..vcenter.inventory import Inventory
from .expectations import history
from .replications import vm_of

CONNECT = 10.0  # seconds in which a destination has to answer


@dataclass(frozen=True)
class KnownDisk:
    name: str
    size: int | None  # in bytes; None: not known


async def check_machine(machine: Machine, inventory: Inventory | None) -> None:
    """inventory: of its vCenter; None if that was not asked."""
    _check_name(machine, inventory)
    disks = list(_known_disks(machine, inventory))
    _check_in_use(machine, disks)
    _check_room(machine, disks)
    await _check_destinations(machine, disks)


async def look_at_machine(machine: Machine, inventory: Inventory | None) -> None:
    """The part of it that hinders no run that is under way: the name and the destinations."""
    _check_name(machine, inventory)
    await _check_destinations(machine, list(_known_disks(machine, inventory)))


def _check_name(machine: Machine, inventory: Inventory | None) -> None:
    vm = vm_of(machine)
    if inventory is None or "/" not in vm or inventory.find(vm) is not None:
        return
    near = difflib.get_close_matches(vm, inventory.machines, n=1)
    raise Failure(f"vCenter {machine.vcenter} has no virtual machine {vm}" + (f"; did you mean {near[0]}?" if near else ""))


def _known_disks(machine: Machine, inventory: Inventory | None) -> Iterator[KnownDisk]:
    """As the vCenter says, or the states of earlier runs. A disk that has been added is known to neither, perhaps."""
    facts = inventory.find(vm_of(machine)) if inventory else None
    sizes: dict[str, int | None] = dict(facts.disks) if facts else {}
    for name in disks_with_state(machine.states):
        if name not in sizes:
            sizes[name] = read_state(state_path(machine.states, name)).size
    yield from (KnownDisk(name, size) for name, size in sizes.items() if not machine.disks or name in machine.disks)


def _check_in_use(machine: Machine, disks: list[KnownDisk]) -> None:
    """A state that a server holds, and an image that is to be gone on with and that another program has opened."""
    for disk in disks:
        path = state_path(machine.states, disk.name)
        if not os.path.exists(path):
            continue
        with held(path):
            uuid = read_state(path).image
        for image in Folder.read(Naming(machine.images).folder(disk.name)).images:
            if uuid and image.uuid == uuid and image.is_partial and is_in_use(image.path):
                raise Failure(f"{image.path} is in use: another program has opened it")


def _check_room(machine: Machine, disks: list[KnownDisk]) -> None:
    """Each file system has room for what the images took of late. For a disk that was never copied as an increment there is
    only its size, which a thin or compressed image need not come to: a warning."""
    known = history(machine)
    needed: dict[int, int] = {}
    largest: dict[int, int] = {}
    place: dict[int, str] = {}
    for disk in disks:
        directory = _existing(Naming(machine.images).folder(disk.name))
        device = os.stat(directory).st_dev
        place[device] = directory
        room = known[disk.name].room() if disk.name in known else None
        needed[device] = needed.get(device, 0) + (room or 0)
        if room is None:
            largest[device] = largest.get(device, 0) + (disk.size or 0)
    for device, directory in place.items():
        status = os.statvfs(directory)
        free = status.f_bavail * status.f_frsize
        if needed[device] > free:
            raise Failure(f"{directory}: the images of this run will need about {mib(needed[device])}, as those of the last runs "
                          f"did, and {mib(free)} are free")
        if needed[device] + largest.get(device, 0) > free:
            warn(f"{directory}: {mib(free)} are free, and the disks that are copied whole have {mib(largest[device])}: there is "
                 "room only if they are not full, or shrink when they are compressed")


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


async def _check_destinations(machine: Machine, disks: list[KnownDisk]) -> None:
    """All at once; a disk that is not known yet, and a name in a URI that is not, are left to the fanout filter."""
    if not disks and not machine.several:
        disks = [KnownDisk(machine.single_disk, None)]
    everything = [(machine, one.of_disk(disk.name), disk) for disk in disks for one in machine.also]
    failures = [failure for failure in await asyncio.gather(*(_check_destination(*one) for one in everything)) if failure]
    if failures:
        raise failures[0]


async def _check_destination(machine: Machine, destination: Destination, disk: KnownDisk) -> Failure | None:
    name = destination_name(destination.uri, destination.parameters)
    try:
        size = await asyncio.wait_for(_size_of(destination.uri), CONNECT)
        if disk.size is None or size >= disk.size:
            return None
        what = f"{name} is too small for disk {disk.name}: it has {size} bytes, and needs {disk.size}"
    except TimeoutError:
        what = f"{name} has not answered for {CONNECT:.0f} seconds"
    except Failure as e:
        what = f"{name} cannot be reached: {e}"
    if (value(destination.parameters, "fanout-on-error") or value(machine.target.parameters, "fanout-on-error")) == "fail":
        return Failure(f"{what} (fanout-on-error=fail)")
    warn(f"{what}; the copy goes on without it")
    return None


async def _size_of(uri: str) -> int:
    """By a program of its own, which can be ended: libnbd has no deadline."""
    process = await asyncio.create_subprocess_exec(*bound_to_parent(["nbdinfo", "--size", uri]), stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
                                                   process_group=0)
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise Failure(lines[-1].removeprefix("nbdinfo: ") if lines else "it does not answer")
    return int(output)
