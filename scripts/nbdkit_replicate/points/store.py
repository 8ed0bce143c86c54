# SPDX-License-Identifier: BSD-3-Clause
"""The images of a directory, as their headers say what they are."""
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from ..images import Image, Mark, read_image
from ..messages import Failure
from .naming import PARTIAL


@dataclass(frozen=True)
class StoredImage:
    path: str
    image: Image
    identity: tuple[int, int]  # of the file
    used: int  # bytes in the file system

    @property
    def mark(self) -> Mark | None:
        return self.image.mark

    @property
    def uuid(self) -> str:
        return self.mark.uuid if self.mark else ""

    @property
    def is_partial(self) -> bool:
        """It has the name of an image that a run has not completed."""
        return self.path.endswith(PARTIAL)

    @property
    def backing(self) -> str:
        """The path of its backing file; "" if it has none."""
        return os.path.join(os.path.dirname(self.path), self.image.backing) if self.image.backing else ""


def stored_image(path: str) -> StoredImage:
    """Throws OSError, or Failure if it is no image."""
    image, status = read_image(path), os.stat(path)
    return StoredImage(path, image, (status.st_dev, status.st_ino), status.st_blocks * 512)


def images_in(folder: str) -> Iterator[StoredImage]:
    """All that have a header which can be read. A file with two names comes once, without .partial: a server was killed
    while it gave the file its other name."""
    seen = set()
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                continue
            image = stored_image(path)
        except (OSError, Failure):
            continue
        if image.identity not in seen:
            seen.add(image.identity)
            yield image
