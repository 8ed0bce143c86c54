# SPDX-License-Identifier: BSD-3-Clause
"""The images of a directory, as their headers say what they are."""
import os
import stat
from dataclasses import dataclass

from ..images import Image, Mark, read_image
from ..messages import Failure
from .merge import Merge, merges_in
from .naming import PARTIAL

DIGESTS = ".digests"  # of the blocks of an image, in a file beside it: nbdkit-apply-filter(1), apply-digests=


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
    def file(self) -> str:
        """The path without .partial."""
        return self.path.removesuffix(PARTIAL)

    @property
    def is_partial(self) -> bool:
        """It has the name of an image that a run has not completed."""
        return self.path.endswith(PARTIAL)

    @property
    def backing(self) -> str:
        """The path of its backing file; "" if it has none."""
        return os.path.join(os.path.dirname(self.path), self.image.backing) if self.image.backing else ""

    @property
    def digests(self) -> str:
        return self.file + DIGESTS


def stored_image(path: str) -> StoredImage:
    """Throws OSError, or Failure if it is no image."""
    image, status = read_image(path), os.stat(path)
    return StoredImage(path, image, (status.st_dev, status.st_ino), status.st_blocks * 512)


class Lookup:
    """What is read of images while one question is answered: each file is read once."""

    def __init__(self) -> None:
        self._images: dict[str, StoredImage] = {}
        self._merges: dict[str, tuple[Merge, ...]] = {}

    def image(self, path: str) -> StoredImage:
        """Throws OSError, or Failure if it is no image."""
        if path not in self._images:
            self._images[path] = stored_image(path)
        return self._images[path]

    def merge_into(self, image: StoredImage) -> Merge | None:
        folder = os.path.dirname(image.path)
        if folder not in self._merges:
            self._merges[folder] = merges_in(folder)
        return next((merge for merge in self._merges[folder] if merge.into == image.path), None)


@dataclass(frozen=True)
class Folder:
    """A directory of images, as it was when it was read."""

    path: str
    images: tuple[StoredImage, ...]  # all that have a header which can be read
    unreadable: tuple[str, ...]  # paths of the other regular files
    merges: tuple[Merge, ...]

    @classmethod
    def read(cls, path: str, lookup: Lookup | None = None) -> "Folder":
        """A file with two names comes once, without .partial: a server was killed while it gave the file its other name. What
        does not exist has no images."""
        lookup = lookup or Lookup()
        images: dict[tuple[int, int], StoredImage] = {}
        unreadable = []
        for name in sorted(os.listdir(path or ".")) if os.path.isdir(path or ".") else []:
            file = os.path.join(path, name)
            try:
                if stat.S_ISREG(os.stat(file).st_mode):
                    image = lookup.image(file)
                    images.setdefault(image.identity, image)
            except (OSError, Failure):
                unreadable.append(file)
        return cls(path, tuple(images.values()), tuple(unreadable), merges_in(path))

    def is_merged(self, path: str) -> bool:
        """It is no restore point, as it becomes part of another one."""
        return any(path in merge.gone for merge in self.merges)

    def points(self) -> list[StoredImage]:
        """Without those that are merged."""
        return [image for image in self.images if not self.is_merged(image.path)]
