# SPDX-License-Identifier: BSD-3-Clause
"""Which image of a directory another one of it lies on, by whatever name it has for it."""
import os
import re
from collections.abc import Collection

from ..points.store import StoredImage

_NO_FILE = re.compile(r"[^/]*:")  # of QEMU: json:, or a protocol


class Bases:
    def __init__(self, images: Collection[StoredImage]) -> None:
        """All of the directory."""
        self._by_identity = {image.identity: image.path for image in images}
        self._by_name = {os.path.basename(image.file): image.path for image in images}
        self._files = {image.path: _file_below(image) for image in images if image.backing}

    def below(self, image: StoredImage) -> str | None:
        """The path of the image that it lies on; None: of this directory it lies on none. A name that leads nowhere, as one of
        another machine, may be that of the image that has its last part."""
        if not image.backing:
            return None
        found = self._files[image.path]
        if found is None:
            path = self._by_name.get(os.path.basename(image.image.backing))
            return path if path != image.path else None
        return self._by_identity.get(found)

    def is_unknown(self, image: StoredImage) -> bool:
        """What it lies on has a name that is not one of a file."""
        return bool(image.backing) and self._files[image.path] is None and bool(_NO_FILE.match(image.image.backing))


def _file_below(image: StoredImage) -> tuple[int, int] | None:
    try:
        status = os.stat(image.backing)
    except OSError:
        return None
    return status.st_dev, status.st_ino
