# SPDX-License-Identifier: BSD-3-Clause
"""A new image of a run that was refused before anything was written into it."""
import contextlib
import os
from dataclasses import dataclass

from ..images import continues_image, image_file, is_qcow2
from ..composition.replication import DiskCopy


@dataclass(frozen=True)
class CreatedImage:
    """An image that the target server may create. It would be in the way of the next run: with another backing= than
    that one's, or as a copy that is empty."""

    paths: tuple[str, ...]  # names that were free before the run
    state: str
    state_before: tuple[int, int] | None

    @classmethod
    def of(cls, disk: DiskCopy) -> "CreatedImage":
        """Before the server is started."""
        file = image_file(disk.target.parameters) if is_qcow2(disk.target.plugin) else None
        # A server that goes on with an image may complete it, and give it its name, with the state as it is.
        names = (file, file + ".partial") if file is not None and not continues_image(disk.target.parameters) else ()
        return cls(tuple(name for name in names if not os.path.lexists(name)), disk.state, _identity(disk.state))

    def remove_if_unused(self) -> None:
        """After the end of the server. apply saves its state before the first change of an image, in a new file."""
        if _identity(self.state) != self.state_before:
            return
        for path in self.paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns)
