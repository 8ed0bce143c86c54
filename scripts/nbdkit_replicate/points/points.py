# SPDX-License-Identifier: BSD-3-Clause
"""Restore points: what can be restored of each disk."""
import datetime
import enum
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ..images import Image
from .chain import Chain, chain_of, is_complete
from .naming import Name, Naming, is_to_come, parse_time, time_text
from .store import Folder, Lookup, StoredImage


class Status(enum.Enum):
    COMPLETE = "complete"  # it holds the disk as of one instant, and all that it lies on is there
    INCOMPLETE = "incomplete"  # a run has not completed it
    BROKEN = "broken"  # it was complete, but cannot be read as what it is


@dataclass(frozen=True)
class Point:
    disk: str
    time: str  # as in the name of the image
    chain: Chain
    status: Status
    why: str = ""  # it is not complete

    @property
    def top(self) -> StoredImage:
        return self.chain.top

    @property
    def path(self) -> str:
        return self.top.path

    @property
    def is_complete(self) -> bool:
        return self.status == Status.COMPLETE

    @property
    def when(self) -> datetime.datetime:
        return parse_time(self.time) or datetime.datetime.min.replace(tzinfo=datetime.UTC)

    @property
    def is_to_come(self) -> bool:
        """It says that it is as of a time that is not yet."""
        return is_to_come(self.when.timestamp(), time.time())

    @property
    def checkpoint(self) -> str:
        mark = self.top.mark
        return mark.checkpoint.decode(errors="replace") if mark else ""

    @property
    def parent(self) -> str:
        """The path of the image that it lies on; "" if it lies on none."""
        return self.top.backing

    @property
    def has_digests(self) -> bool:
        return os.path.exists(self.top.digests)


def points_in(naming: Naming, any_name: bool = False) -> list[Point]:
    """All points of images with these names, by disk and time. any_name: those of other names as well, if they are images
    of the plugin."""
    lookup, points = Lookup(), []
    for path in naming.folders():
        folder = Folder.read(path, lookup)
        for image in folder.points():
            name = naming.parse(image.path) or (_name_of_header(image, lookup) if any_name else None)
            if name is not None:
                points.append(_point(name, image, lookup))
        points += _unreadable(naming, folder)
    return sorted(points, key=lambda point: (point.disk, point.time, point.path))


def _point(name: Name, image: StoredImage, lookup: Lookup) -> Point:
    chain = chain_of(image, lookup)
    if image.mark is None:
        return Point(name.disk, name.time, chain, Status.BROKEN, "it does not say which image it is")
    if not is_complete(image, lookup.merge_into(image)):
        clean = image.image.clean or not image.mark.complete
        return Point(name.disk, name.time, chain, Status.INCOMPLETE if clean else Status.BROKEN,
                     "no run has completed it" if clean else "another program has written to it, and did not close it")
    return Point(name.disk, name.time, chain, Status.BROKEN if chain.fault else Status.COMPLETE, chain.fault)


def _name_of_header(image: StoredImage, lookup: Lookup) -> Name | None:
    """For an image with a name of its own: the disk is called as the lowest of its chain was when that was created."""
    if image.mark is None or image.mark.complete is None:
        return None
    lowest = chain_of(image, lookup).images[-1]
    label = lowest.mark.label if lowest.mark and lowest.mark.label else os.path.basename(lowest.file)
    known = Naming(os.path.join(os.path.dirname(image.path), "{disk}-{time}.qcow2")).parse(label)
    disk = known.disk if known else os.path.splitext(label)[0]
    return Name(disk, time_text(datetime.datetime.fromtimestamp(image.mark.completed, datetime.UTC)))


def _unreadable(naming: Naming, folder: Folder) -> Iterable[Point]:
    for path in folder.unreadable:
        name = naming.parse(path)
        if name is not None:
            image = StoredImage(path, Image(0, False, None), (0, 0), 0)
            yield Point(name.disk, name.time, Chain((image,), ""), Status.BROKEN, "it is no QCOW2 image, or cannot be read")
