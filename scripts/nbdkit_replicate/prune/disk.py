# SPDX-License-Identifier: BSD-3-Clause
"""Removes the restore points of one disk that are not kept."""
import contextlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from ..messages import Failure
from ..plan.plan import Machine
from ..points.merge import Merge
from ..points.naming import PARTIAL, Naming
from ..points.points import points_in
from ..points.store import DIGESTS, Folder, StoredImage
from ..points.used import USED
from ..restore.in_use import is_locked
from ..states import held, read_state, state_path
from .decide import Decision, Merging, decide
from .merging import merge, space_freed
from .removing import remove_files

# What the qcow2 plugin has left of an image that was not even created when it was killed: create= in its manual.
_UNFINISHED = re.compile(r"\.tmp-[0-9a-f-]+$")


@dataclass
class Pruned:
    freed: int = 0  # bytes; with a dry run about
    failed: bool = False


class DiskPrune:
    def __init__(self, machine: Machine, disk: str, dry_run: bool, tell: Callable[[str], None]) -> None:
        """tell: gets lines for people."""
        self._machine = machine
        self._disk = disk
        self._dry_run = dry_run
        self._tell = tell
        self._naming = Naming(machine.images)
        self._folder = self._naming.folder(disk)
        self._result = Pruned()

    async def run(self) -> Pruned:
        """Raises Failure if a run is under way, and if a journal cannot be read. What cannot be removed or merged otherwise is
        told, and is not removed."""
        path = state_path(self._machine.states, self._disk)
        with contextlib.nullcontext() if self._dry_run else held(path):
            current = read_state(path).image if os.path.exists(path) else ""
            await self._finish_merges()
            decision = self._decide(current)
            for image in decision.removed:
                self._remove(image)
            for merging in decision.merged:
                await self._merge(merging)
            if decision.unknown is not None:
                self._fail(f"nothing is removed or merged: {_name(decision.unknown)} lies on {decision.unknown.image.backing}, "
                           "which may be one of these images: give it the name of a file (qemu-img rebase -u)")
            for image, why in decision.staying:
                self._tell(f"{_name(image)} is not kept, but stays for now: {why}")
            self._remove_leftovers()
        return self._result

    def _decide(self, current: str) -> Decision:
        points = [point for point in points_in(self._naming) if point.disk == self._disk]
        return decide(points, Folder.read(self._folder).images, self._machine.keep, current)

    async def _finish_merges(self) -> None:
        for journal in Folder.read(self._folder).merges:
            name = self._naming.parse(journal.into)
            if name is not None and name.disk == self._disk:
                self._tell(f"{'to be finished' if self._dry_run else 'finished'}: the merge into {journal.into}")
                if not self._dry_run:
                    self._result.freed += await self._measured(journal)

    async def _measured(self, plan: Merge) -> int:
        before = _used(plan)
        await merge(plan)
        return before - _used(plan)

    def _remove(self, image: StoredImage) -> None:
        if is_locked(image.path):
            self._fail(f"{_name(image)} is not removed: it is in use")
            return
        if not self._dry_run:
            remove_files(image.path)
        self._result.freed += image.used
        self._tell(f"{_name(image)} {'would be ' * self._dry_run}removed")

    async def _merge(self, merging: Merging) -> None:
        names = ", ".join(_name(image) for image in merging.gone)
        plan = Merge(merging.into.path, merging.into.uuid, tuple(image.path for image in merging.gone))
        try:
            if self._dry_run:
                self._result.freed += await space_freed(merging.into, merging.gone)
            else:
                self._result.freed += await self._measured(plan)
        except (Failure, OSError) as e:
            self._fail(f"{names} cannot be merged into {_name(merging.into)}: {e}")
            return
        self._tell(f"{names} {'would be ' * self._dry_run}merged into {_name(merging.into)}")

    def _remove_leftovers(self) -> None:
        """Of this disk: digests and marks without an image, and images that were never whole."""
        files = set(os.listdir(self._folder)) if os.path.isdir(self._folder) else set[str]()
        for file in sorted(files):
            owner = _UNFINISHED.sub("", file.removesuffix(PARTIAL)).removesuffix(PARTIAL).removesuffix(DIGESTS)
            owner = owner.removesuffix(USED)
            name = self._naming.parse(os.path.join(self._folder, owner))
            has_image = bool({owner, owner + PARTIAL} & files)
            is_leftover = bool(_UNFINISHED.search(file)) or (not has_image and file != owner)
            path = os.path.join(self._folder, file)
            if name is None or name.disk != self._disk or not is_leftover or is_locked(path):
                continue
            self._result.freed += os.stat(path).st_blocks * 512
            self._tell(f"{file} {'would be ' * self._dry_run}removed: it belongs to no image")
            if not self._dry_run:
                os.unlink(path)

    def _fail(self, text: str) -> None:
        self._result.failed = True
        self._tell(text)


def _name(image: StoredImage) -> str:
    return os.path.basename(image.path)


def _used(plan: Merge) -> int:
    return sum(os.stat(path).st_blocks * 512 for path in (plan.into, *plan.gone) if os.path.lexists(path))
