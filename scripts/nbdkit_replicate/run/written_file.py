# SPDX-License-Identifier: BSD-3-Clause
"""Whether the file of the target is the one that was written, by this run and by the last one."""
import os
from dataclasses import dataclass

from ..images import Mark, contradicts, is_qcow2, is_sealed, open_file_of, read_image
from ..messages import Failure, warn
from ..composition.replication import DiskCopy
from ..states import read_state, require_full_copy


@dataclass(frozen=True)
class WrittenFile:
    """The file of a target that does not look for that itself: the qcow2 plugin does, and its images say which they
    are."""

    path: str
    identity: tuple[int, int]

    @classmethod
    def of(cls, disk: DiskCopy) -> "WrittenFile | None":
        """While the target serves it. None if it writes to no file, or looks for itself."""
        path, identity = disk.image, _identity(disk.image)
        if path is None or identity is None:
            return None
        if is_qcow2(disk.target.plugin) and (is_sealed(disk.target.parameters) or _mark(path) is not None):
            return None
        return cls(path, identity)

    def is_replaced(self) -> bool:
        return _identity(self.path) != self.identity


def distrust_wrong_image(disk: DiskCopy) -> None:
    """Before a run: if the image is an older copy of itself, or the state an older one, the state says from now on that
    a full copy is owed."""
    path = open_file_of(disk.target.parameters)
    if not is_qcow2(disk.target.plugin) or path is None or not disk.has_state() or not os.path.exists(path):
        return
    mark = _mark(path)
    if mark is not None and contradicts(mark, state := read_state(disk.state)):
        warn(f"{path} is complete as of {mark.checkpoint.decode(errors='replace')}, but {disk.state} says "
            f"{state.checkpoint}: one of them has been put back from an earlier time; everything is copied")
        require_full_copy(disk.state)


def _mark(path: str) -> Mark | None:
    """None also if the file is no image: that is for the plugin to say."""
    try:
        return read_image(path).mark
    except (OSError, Failure):
        return None


def _identity(path: str | None) -> tuple[int, int] | None:
    try:
        status = os.stat(path) if path is not None else None
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status else None
