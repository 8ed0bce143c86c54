# SPDX-License-Identifier: BSD-3-Clause
"""The states of the images that fetch the last increment themselves: STATES/cutover/DISK.state, nbdkit-pull-filter(1). Those
of the plan stay as they are, so that runs can go on from the restore points.

STATES/cutover/DISK.served: what the file of the image was like when its server had ended. Somebody may use it without a server."""
import contextlib
import json
import os
import shutil

from ..contract import SourceDescription, is_written_by_clients
from ..files import make_directory, replace_file, sync_directory
from ..messages import Failure
from ..plan.plan import Machine
from ..points.machines import points_of
from ..points.points import Point
from ..states import disks_with_state, read_state, state_path


def directory_of_states(machine: Machine) -> str:
    return os.path.join(machine.states, "cutover", "")


def pull_state(machine: Machine, disk: str) -> str:
    return state_path(directory_of_states(machine), disk)


def latest_points(machine: Machine) -> list[Point]:
    """Of each disk that which its state is about. Raises Failure if one is not complete."""
    points = {point.top.uuid: point for point in points_of(machine).points if point.is_complete}
    result = []
    for disk in disks_with_state(machine.states):
        if machine.disks and disk not in machine.disks:
            continue
        state = read_state(state_path(machine.states, disk))
        if state.owed or state.image not in points:
            raise Failure(f"disk {disk}: its last restore point is not complete")
        result.append(points[state.image])
    if not result:
        raise Failure("nothing has been copied yet")
    return result


def begin_states(machine: Machine, points: list[Point]) -> None:
    """New ones: what the image holds is what the restore point below it holds."""
    remove_states(machine)
    make_directory(directory_of_states(machine))
    for point in points:
        with open(state_path(machine.states, point.disk), encoding="utf-8") as file:
            replace_file(pull_state(machine, point.disk), file.read())


def remove_states(machine: Machine) -> None:
    shutil.rmtree(directory_of_states(machine), ignore_errors=True)


def owed(machine: Machine, disks: list[str]) -> int:
    """Bytes that are still to be fetched."""
    return sum(read_state(pull_state(machine, disk)).owed for disk in disks)


def check_instant(machine: Machine, disk: str, shown: SourceDescription) -> None:
    """shown: what the source of the last increment shows. Raises Failure if the image is not to become that: nothing tells what
    has changed since its restore point."""
    held = read_state(pull_state(machine, disk)).checkpoint
    if not held or held != shown.checkpoint:
        raise Failure(f"disk {disk}: the last increment cannot be fetched, as the source does not tell what has changed since "
                      f'the last restore point: that is as of "{held}", and the source shows "{shown.checkpoint}"; changed '
                      "block tracking may have been reset, or the disk enlarged; nothing has been handed over; the same "
                      "command without --pull copies the whole disk")


def is_used(machine: Machine, disk: str) -> bool:
    """Whether a client has written to the image."""
    try:
        with open(pull_state(machine, disk), encoding="utf-8") as file:
            return is_written_by_clients(json.load(file))
    except FileNotFoundError:
        return False
    except ValueError:
        return True


def begin_serving(machine: Machine, disk: str, path: str, again: bool) -> bool:
    """From now on its own server changes the image. again: it has been handed over before. Returns whether end_serving() is to
    say what it is like then: not if somebody may have used it without its server before, as that stays so."""
    if again and is_changed(machine, disk, path) is not False:
        return False
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_served_path(machine, disk))
    sync_directory(directory_of_states(machine))
    return True


def end_serving(machine: Machine, disk: str, path: str) -> None:
    """The server has ended."""
    with contextlib.suppress(OSError):  # then nobody knows
        replace_file(_served_path(machine, disk), json.dumps(_look_of(path)) + "\n")


def is_changed(machine: Machine, disk: str, path: str) -> bool | None:
    """Whether the image has been changed since its server ended. None: nobody knows, as nbdkit-replicate was killed."""
    try:
        with open(_served_path(machine, disk), encoding="utf-8") as file:
            return bool(json.load(file) != _look_of(path))
    except (OSError, ValueError):
        return None


def _served_path(machine: Machine, disk: str) -> str:
    return os.path.join(directory_of_states(machine), disk + ".served")


def _look_of(path: str) -> dict[str, int]:
    facts = os.stat(path)
    return {"bytes": facts.st_size, "mtime-ns": facts.st_mtime_ns}
