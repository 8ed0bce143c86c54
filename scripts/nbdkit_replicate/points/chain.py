# SPDX-License-Identifier: BSD-3-Clause
"""An image and those that it lies on."""
import os
from dataclasses import dataclass

from ..images import Image
from ..messages import Failure
from .store import StoredImage, stored_image

LONGEST = 64  # files, as the qcow2 plugin opens them: nbdkit-qcow2-plugin(1), "Images of other programs"


@dataclass(frozen=True)
class Chain:
    images: tuple[StoredImage, ...]  # from top to bottom, as far as they are there; a raw base is not among them
    fault: str  # why the top cannot be read as what it is; "": it can

    @property
    def top(self) -> StoredImage:
        return self.images[0]


def chain_of(top: StoredImage) -> Chain:
    """The top itself need not be complete; what it lies on must be. Backing files are found by their names, as QEMU and the
    plugin find them, and must have the UUIDs that those above have been made over."""
    images = [top]
    while images[-1].backing:
        above = images[-1]
        if above.image.backing_format == "raw":
            return Chain(tuple(images), "" if os.path.exists(above.backing) else _gone(above))
        fault = ""
        try:
            below = stored_image(above.backing)
        except FileNotFoundError:
            return Chain(tuple(images), _gone(above))
        except (OSError, Failure) as e:
            return Chain(tuple(images), str(e))
        images.append(below)
        fault = _fault_between(above.image, below)
        if any(below.identity == other.identity for other in images[:-1]) or len(images) > LONGEST:
            fault = f"its chain does not end within {LONGEST} images"
        if fault:
            return Chain(tuple(images), fault)
    return Chain(tuple(images), "")


def _gone(above: StoredImage) -> str:
    return f"{above.backing}, which it lies on, is not there"


def _fault_between(above: Image, below: StoredImage) -> str:
    mark = below.mark
    if above.mark is not None and above.mark.parent and (mark is None or mark.uuid != above.mark.parent):
        return f"{below.path} is not the image that it was made over"
    if mark is not None and mark.complete is False:
        return f"{below.path}, which it lies on, is not complete"
    if not below.image.clean:
        return f"{below.path}, which it lies on, was not closed cleanly"
    return ""
