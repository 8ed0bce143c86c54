# SPDX-License-Identifier: BSD-3-Clause
"""Removes images with what belongs to them."""
import contextlib
import os

from ..files import sync_directory
from ..points.naming import PARTIAL
from ..points.store import DIGESTS
from ..points.used import USED


def remove_files(path: str) -> None:
    """An image, and then its digests and its mark. Durably; what is not there need not be."""
    file = path.removesuffix(PARTIAL)
    for name in path, file + DIGESTS, file + DIGESTS + PARTIAL, file + USED:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
            sync_directory(os.path.dirname(name))
