# SPDX-License-Identifier: BSD-3-Clause
"""The images that are handed over: one for each disk, over its last restore point, in the same directory. What the machine writes
goes there, so that the restore points stay what they are, and runs can go on from them if the source is started again."""
import json
import os
from collections.abc import Sequence

from ..definition.domain_storage import Copy, Image
from ..files import sync_directory
from ..images import is_in_use
from ..messages import Failure
from ..plan.plan import Machine
from ..points.naming import Naming
from ..points.points import Point
from ..programs.errors import Errors
from ..programs.process import Process, outcome

NAME = "cutover"  # in place of {time}


def overlay_path(machine: Machine, disk: str) -> str:
    return Naming(machine.images).path(disk, NAME)


def images_of(machine: Machine, points: Sequence[Point]) -> tuple[tuple[str, str], ...]:
    """(disk, path)"""
    return tuple((point.disk, overlay_path(machine, point.disk)) for point in points)


def copies_of(machine: Machine, points: Sequence[Point]) -> dict[str, Copy]:
    """As a domain has them."""
    return {disk: Image(path) for disk, path in images_of(machine, points)}


def check_unused(images: Sequence[tuple[str, str]]) -> None:
    for _, path in images:
        if os.path.exists(path) and is_in_use(path):
            raise Failure(f"{path} is in use: the machine that it was handed over to runs, or another program has opened it; end that "
                          "first")


async def create_overlays(machine: Machine, points: Sequence[Point]) -> None:
    """Durably. Those of an interrupted cutover, which have not been handed over, are replaced."""
    check_unused(images_of(machine, points))
    for point in points:
        path = overlay_path(machine, point.disk)
        new = path + ".new"
        if os.path.lexists(new):
            os.unlink(new)
        await _qemu_img("create", "-q", "-f", "qcow2", "-b", os.path.basename(point.path), "-F", "qcow2", new)
        _sync(new)
        os.replace(new, path)
        sync_directory(os.path.dirname(path))


async def remove_overlays(images: Sequence[tuple[str, str]], time: str) -> list[str]:
    """After check_unused(). One that has been written to is kept by another name; returns these names."""
    kept = []
    for _, path in images:
        if not os.path.exists(path):
            continue
        if await _is_written(path):
            name = f"{path}.{time}"
            os.rename(path, name)
            kept.append(name)
        else:
            os.unlink(path)
        sync_directory(os.path.dirname(path))
    return kept


async def _is_written(path: str) -> bool:
    output = await _qemu_img("map", "--output=json", "-f", "qcow2", path)
    return any(one["depth"] == 0 and (one["data"] or one["zero"]) for one in json.loads(output))


async def _qemu_img(*words: str) -> bytes:
    errors = Errors("qemu-img", shown=False)
    process = await Process.start(["qemu-img", *words], read_output=True, errors=errors)
    try:
        output = await process.read_output()
        status = await process.wait()
    finally:
        process.kill()
        await process.wait()
        cause = errors.cause()
        errors.close()
    if status != 0:
        raise Failure(f"qemu-img {words[0]}: {cause or outcome(status)}")
    return output


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
