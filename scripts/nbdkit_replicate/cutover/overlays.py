# SPDX-License-Identifier: BSD-3-Clause
"""The images that are handed over: one for each disk, over its last restore point, in the same directory. What the machine
writes goes there, so that the restore points stay what they are, and runs can go on from them if the source is started
again."""
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Sequence

from ..contract import DISK
from ..definition.domain_storage import Copy, Export, Image
from ..files import rename_new, sync_directory, sync_file
from ..images import is_in_use
from ..messages import Failure, say
from ..plan.plan import Machine
from ..points.naming import Naming, free_time
from ..points.points import Point
from ..programs.qemu_img import run_qemu_img, written_ranges

NAME = "cutover"  # in place of {time}
NEW = ".new"  # of one that is not complete


def overlay_path(machine: Machine, disk: str) -> str:
    return Naming(machine.images).path(disk, NAME)


def images_of(machine: Machine, points: Sequence[Point]) -> tuple[tuple[str, str], ...]:
    """(disk, path)"""
    return tuple((point.disk, overlay_path(machine, point.disk)) for point in points)


def copies_of(machine: Machine, points: Sequence[Point], pulled: bool) -> dict[str, Copy]:
    """As a domain has them. pulled: they are served."""
    if pulled:
        return {point.disk: Export(socket_of(machine, point.disk)) for point in points}
    return {disk: Image(path) for disk, path in images_of(machine, points)}


def directory_of(machine: Machine) -> str:
    """For all that is handed over besides the images, which is beside it."""
    folder = os.path.dirname(machine.images)
    while DISK in folder:
        folder = os.path.dirname(folder)
    return os.path.join(folder, f"{machine.name}-cutover")


def socket_of(machine: Machine, disk: str) -> str:
    """Of the server of an image, with --pull."""
    return os.path.join(directory_of(machine), f"{disk}.sock")


def check_unused(images: Sequence[tuple[str, str]]) -> None:
    for _, path in images:
        if os.path.exists(path) and is_in_use(path):
            raise Failure(f"{path} is in use: the machine that it was handed over to runs, or another program has opened it; "
                          "end that first")


async def create_overlays(machine: Machine, points: Sequence[Point]) -> None:
    """Durably. Those of an interrupted cutover are taken away."""
    images = images_of(machine, points)
    check_unused(images)
    await take_away(images)
    for point in points:
        path = overlay_path(machine, point.disk)
        os.replace(await _create(point, path), path)
        sync_directory(os.path.dirname(path))


async def rehearse_overlays(machine: Machine, points: Sequence[Point]) -> None:
    """While the machine runs: what keeps them from being created is found out, and how long it takes."""
    check_unused(images_of(machine, points))
    for point in points:
        path = overlay_path(machine, point.disk)
        os.unlink(await _create(point, path))
        sync_directory(os.path.dirname(path))


async def _create(point: Point, path: str) -> str:
    """Returns the name that it has until it is complete."""
    new = path + NEW
    if os.path.lexists(new):
        os.unlink(new)
    await run_qemu_img("create", "-q", "-f", "qcow2", "-b", os.path.basename(point.path), "-F", "qcow2", new)
    sync_file(new)
    return new


async def take_away(images: Sequence[tuple[str, str]],
                    is_written: "Callable[[str, str], Awaitable[bool]] | None" = None) -> None:
    """After check_unused(). is_written: whether the machine has written to that of this disk, or may have; if not given, whether
    it holds data: it is kept by another name, then, and that is said."""
    for disk, path in images:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + NEW)
        if not os.path.exists(path):
            continue
        if await (is_written or _holds_data)(disk, path):
            name = _free_name(path)
            rename_new(path, name)
            say(f"{name}: this has been written to since it was handed over, or may have been, and is kept by this name")
        else:
            os.unlink(path)
        sync_directory(os.path.dirname(path))


def _free_name(path: str) -> str:
    """FILE.TIME"""
    folder, base = os.path.split(path)
    taken = {name.removeprefix(base + ".") for name in os.listdir(folder) if name.startswith(base + ".")}
    moment = free_time(time.time(), taken)
    return f"{path}.{moment}"


async def are_taken(images: Sequence[tuple[str, str]]) -> bool:
    """Whether one is open in another program, holds data, or has been moved away."""
    for disk, path in images:
        if not os.path.exists(path) or is_in_use(path) or await _holds_data(disk, path):
            return True
    return False


async def _holds_data(_disk: str, path: str) -> bool:
    return bool(await written_ranges(path))
