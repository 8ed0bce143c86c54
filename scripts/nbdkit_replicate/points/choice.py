# SPDX-License-Identifier: BSD-3-Clause
"""Which restore points of a machine are meant: the latest, or those of a time. The disks of a machine are of one instant if
their points have the same time, as all disks of a run have."""
import datetime
import os
from collections.abc import Sequence

from ..messages import Failure
from .machines import MachinePoints
from .naming import PARTIAL, parse_time
from .points import Point


def choose(machine: MachinePoints, at: str | None, disk: str | None) -> tuple[list[Point], list[str]]:
    """The points to restore, all of one time, and what is to be known of them. at: a time, or the name of an image; None: the
    latest time of which all disks are complete, and which is not to come if there is another. disk: only this one.

    Raises Failure if there are none, or if one that is meant is not complete.
    """
    points = [point for point in machine.points if disk in (None, point.disk)]
    if not points:
        raise Failure(f"{machine.name} has no restore points" + (f" of the disk {disk}" if disk else ""))
    disks = [disk] if disk else machine.disks
    time = _time_of_name(points, at) if at is not None else None
    if time is None:
        time = _latest(points, disks, moment(at)) if at is not None else _last(points, disks)
        if time is None and at is not None:
            raise Failure(f"{machine.name}: there is no restore point of all disks at {at} or earlier")
    if time is None:
        raise Failure(f"{machine.name}: there is no time of which all disks ({', '.join(disks)}) are complete; "
                      "choose a disk, or a time: nbdkit-replicate list shows what there is")
    return _of_time(machine, points, disks, time, at is None)


def moment(text: str) -> datetime.datetime:
    """A time as in the names of images (UTC), or as in ISO 8601: 2026-11-03, "2026-11-03 04:00", 2026-11-03T04:00Z. Without a
    zone it is local time; a day alone means its end."""
    known = parse_time(text)
    if known is not None:
        return known
    try:
        result = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Failure(f'"{text}" is neither a time, such as 20261103T040000Z, 2026-11-03 or "2026-11-03 04:00", nor the name '
                      "of a restore point") from None
    if len(text) <= len("2026-11-03"):
        result += datetime.timedelta(days=1, microseconds=-1)
    return result.astimezone()


def _time_of_name(points: Sequence[Point], at: str) -> str | None:
    """Of the image with this name, or of the images with this time in their names."""
    for point in points:
        if at in (point.time, point.path, os.path.basename(point.path), os.path.basename(point.path).removesuffix(PARTIAL)):
            return point.time
    return None


def _last(points: Sequence[Point], disks: Sequence[str]) -> str | None:
    return _latest([point for point in points if not point.is_to_come], disks, None) or _latest(points, disks, None)


def _latest(points: Sequence[Point], disks: Sequence[str], before: datetime.datetime | None) -> str | None:
    """Of an earlier time, a disk that was added to the machine later is not missed. One that is not there any more is: that a
    run has left it out is not to be told from a run that failed."""
    for time in sorted({point.time for point in points}, reverse=True):
        here = {point.disk for point in points if point.time == time and point.is_complete}
        known = set(disks) if before is None else {point.disk for point in points if point.time <= time}.intersection(disks)
        if here.issuperset(known) and (before is None or any(p.when <= before for p in points if p.time == time)):
            return time
    return None


def _of_time(machine: MachinePoints, points: Sequence[Point], disks: Sequence[str], time: str,
             latest: bool) -> tuple[list[Point], list[str]]:
    chosen = [point for point in points if point.time == time]
    for point in chosen:
        if not point.is_complete:
            raise Failure(f"{machine.name}, disk {point.disk}: {point.path} cannot be restored: {point.why}")
    notes = [f"disk {disk}: there is no restore point of {time}" for disk in disks if disk not in {p.disk for p in chosen}]
    if latest:
        later = {point.time for point in points if point.time > time}
        to_come = {point.time for point in points if point.time in later and point.is_to_come}
        notes += [f"{one} is a time to come, as the clock was wrong, or is now: that is left out; --at {one} names it"
                  for one in sorted(to_come)]
        left_out = ", ".join(sorted(later - to_come))
        notes += [f"not all disks are complete as of {left_out}: that is left out"] if left_out else []
    return chosen, notes
