# SPDX-License-Identifier: BSD-3-Clause
"""Images that clients of `use --write` may have written to.

The state says so as well, but somebody may give up the state for a new replica, and what clients have written is in no other
place. So IMAGE.used lies beside the image from before it is served until it is certain that nobody has written. It is
about an image that is not complete; one that is, is what a run has made of it.
"""
import contextlib
import os

from ..files import replace_file, sync_directory
from .store import StoredImage

USED = ".used"


def mark_used(file: str) -> bool:
    """file: without .partial; it need not exist yet. Durably. Returns whether it was not marked yet."""
    fresh = not os.path.lexists(file + USED)
    replace_file(file + USED, "")
    return fresh


def unmark_used(file: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(file + USED)
        sync_directory(os.path.dirname(file))


def is_used(image: StoredImage) -> bool:
    return os.path.lexists(image.file + USED)
