# SPDX-License-Identifier: BSD-3-Clause
"""An image and those that it lies on."""
import os
from dataclasses import dataclass

from ..images import Image
from ..messages import Failure
from .merge import Merge
from .store import Lookup, StoredImage

LONGEST = 64  # files, as the qcow2 plugin opens them: nbdkit-qcow2-plugin(1), "Images of other programs"


@dataclass(frozen=True)
class Chain:
    images: tuple[StoredImage, ...]  # from top to bottom, as far as they are there; a raw base is not among them
    fault: str  # why the top cannot be read as what it is; "": it can
    base: str = ""  # the path of a raw base

    @property
    def top(self) -> StoredImage:
        return self.images[0]


def chain_of(top: StoredImage, lookup: Lookup | None = None) -> Chain:
    """The top itself need not be complete; what it lies on must be. Backing files are found by their names, as QEMU and the
    plugin find them, and must have the UUIDs that those above have been made over."""
    lookup = lookup or Lookup()
    images = [top]
    merge = lookup.merge_into(top)
    while images[-1].backing:
        above = images[-1]
        if above.image.backing_format == "raw":
            fault = "" if os.path.exists(above.backing) else _gone(above)
            return Chain(tuple(images), fault, above.backing)
        try:
            below = lookup.image(above.backing)
        except FileNotFoundError:
            return Chain(tuple(images), _gone(above))
        except (OSError, Failure) as e:
            return Chain(tuple(images), str(e))
        images.append(below)
        merge = lookup.merge_into(below) or merge
        fault = _fault_between(above.image, below, merge)
        if any(below.identity == other.identity for other in images[:-1]) or len(images) > LONGEST:
            fault = f"its chain does not end within {LONGEST} images"
        if fault:
            return Chain(tuple(images), fault)
    return Chain(tuple(images), "")


def is_complete(image: StoredImage, merge: Merge | None) -> bool:
    """By its own mark; what it lies on is not looked at. merge: into it."""
    mark = image.mark
    if mark is None or not image.image.clean:
        return False
    return bool(mark.complete) or (merge is not None and merge.committed and merge.uuid == mark.uuid)


def _gone(above: StoredImage) -> str:
    return f"{above.backing}, which it lies on, is not there"


def _fault_between(above: Image, below: StoredImage, merge: Merge | None) -> str:
    """merge: the nearest one, into an image above or into this one. What is merged is right where it is seen from the image
    above."""
    if merge is not None and below.path in merge.gone:
        return ""
    mark = below.mark
    if above.mark is not None and above.mark.parent and (mark is None or mark.uuid != above.mark.parent):
        return f"{below.path} is not the image that it was made over"
    if mark is not None and mark.complete is False and not is_complete(below, merge):
        return f"{below.path}, which it lies on, is not complete"
    if not below.image.clean:
        return f"{below.path}, which it lies on, was not closed cleanly"
    return ""
