# SPDX-License-Identifier: BSD-3-Clause
"""What is done with the images of a disk whose restore points are not kept. Changes nothing.

An image that no other lies on is removed. One that others lie on is merged into the point above it, which then lies on what
the image has lain on. The newest complete point is not touched, nor is the image that the state names, nor anything that is
not a restore point of this disk; what one of these lies on stays. So does a point that says it is of a time to come: it is kept
besides the others, and is not the newest, as the clock was wrong when it was made. Where several images lie on one, that stays
as well. Nothing is removed while it is not known what an image of the directory lies on.
"""
import os
from collections.abc import Collection
from dataclasses import dataclass, field

from ..plan.plan import Keep
from ..points.points import Point, Status
from ..points.store import StoredImage
from ..points.used import is_used
from .bases import Bases
from .keep import kept


@dataclass(frozen=True)
class Merging:
    """Images that become a part of the one that lies on them."""

    into: StoredImage
    gone: tuple[StoredImage, ...]  # from top to bottom


@dataclass(frozen=True)
class Decision:
    removed: tuple[StoredImage, ...]  # in this order: none of them is lain on when it is its turn
    merged: tuple[Merging, ...]
    staying: tuple[tuple[StoredImage, str], ...]  # not kept, but not removed now; why
    kept: tuple[Point, ...]
    unknown: StoredImage | None = None  # of which it is not known what it lies on: nothing is removed or merged


@dataclass
class _Forest:
    images: dict[str, StoredImage]  # by path: all of the directory
    removable: set[str]
    bases: Bases
    above: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in self.images:
            below = self.below(path)
            if below is not None:
                self.above.setdefault(below, []).append(path)

    def below(self, path: str) -> str | None:
        below = self.bases.below(self.images[path])
        return os.path.normpath(below) if below is not None else None

    def is_needed(self, path: str) -> bool:
        return path not in self.removable or any(map(self.is_needed, self.above.get(path, ())))

    def from_top(self, path: str) -> list[str]:
        """All that lie on it, and it."""
        return [one for above in self.above.get(path, ()) for one in self.from_top(above)] + [path]


def decide(points: Collection[Point], images: Collection[StoredImage], keep: Keep, current: str) -> Decision:
    """points: of the disk. images: all in its directory. current: the UUID that the disk's state names."""
    complete = [point for point in points if point.is_complete and not point.top.is_partial]
    to_come = {point.path for point in complete if point.is_to_come}
    come = [point for point in complete if point.path not in to_come]
    moments = kept([point.when for point in come], keep)
    keeping = [point for point in come if point.when in moments]
    newest = max((point.time for point in come), default="")
    fixed = to_come | {point.path for point in complete if point.time == newest or point.top.uuid == current}
    expired = {os.path.normpath(point.path) for point in complete if point not in keeping and point.path not in fixed}
    left = [point for point in points if _is_abandoned(point, current)]
    written = {os.path.normpath(point.path) for point in left if is_used(point.top)}
    abandoned = {os.path.normpath(point.path) for point in left} - written
    keeps = tuple(point for point in complete if point in keeping or point.path in fixed)
    bases = Bases(images)
    unknown = next((image for image in images if bases.is_unknown(image)), None)
    if unknown is not None and expired | abandoned:
        return Decision((), (), (), keeps, unknown)
    forest = _Forest({os.path.normpath(image.path): image for image in images}, expired | abandoned, bases)
    roots = [path for path in forest.images if forest.below(path) is None]
    order = [path for root in roots for path in forest.from_top(root)]
    removed = [path for path in order if not forest.is_needed(path)]
    targets = {os.path.normpath(point.path) for point in complete} - {os.path.normpath(path) for path in fixed}
    merged, staying = _merges(forest, [path for path in order if path not in removed], targets, expired)
    staying += [(path, "others lie on it, though no run has completed it") for path in abandoned - set(removed)]
    staying += [(path, "clients of use have written to it") for path in sorted(written)]
    return Decision(
        removed=tuple(forest.images[path] for path in removed),
        merged=tuple(Merging(forest.images[into], tuple(forest.images[path] for path in gone)) for into, gone in merged),
        staying=tuple((forest.images[path], why) for path, why in staying),
        kept=keeps)


def _is_abandoned(point: Point, current: str) -> bool:
    """What a run has left that no run will go on with. Without a state that is not known."""
    mark = point.top.mark
    return (point.status == Status.INCOMPLETE and point.top.is_partial and mark is not None and mark.complete is False
            and current not in ("", mark.uuid))


def _merges(forest: _Forest, remaining: list[str], targets: set[str],
            expired: set[str]) -> tuple[list[tuple[str, list[str]]], list[tuple[str, str]]]:
    """remaining: what is not removed, from top to bottom of each chain."""
    merged, staying = [], []
    present = set(remaining)
    several = {path for path in remaining if len([one for one in forest.above.get(path, ()) if one in present]) > 1}
    staying += [(path, "several images lie on it") for path in sorted(several & expired)]
    free = (expired & present) - several
    for top in remaining:
        if top in free:
            continue
        into, gone, path = top if top in targets else None, list[str](), forest.below(top)
        while path is not None and path in free:
            if into is None or not _can_merge(forest.images[gone[-1] if gone else into], forest.images[path]):
                if into is not None and gone:
                    merged.append((into, gone))
                staying.append((path, f"{os.path.basename(gone[-1] if gone else top)} lies on it"))
                into, gone = path, []
            else:
                gone.append(path)
            path = forest.below(path)
        if into is not None and gone:
            merged.append((into, gone))
    return merged, staying


def _can_merge(above: StoredImage, below: StoredImage) -> bool:
    """Beside each other, so that the lower one can take the name of the upper one; and the disk has not shrunk."""
    return above.image.backing == os.path.basename(below.path) and below.image.size <= above.image.size
