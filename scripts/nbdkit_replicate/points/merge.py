# SPDX-License-Identifier: BSD-3-Clause
"""Merges of images that are under way, as their journals tell. What is done, and in which order, is written in merging.py.

The journal of a merge into IMAGE is IMAGE.merge. While it is there, the images that it lists are no restore points, whatever
their headers say, and IMAGE is one, although what it lies on is not complete, and although its own mark may not say so yet.
"""
import json
import os
from dataclasses import dataclass
from typing import Any

from ..files import replace_file
from ..messages import Failure

SUFFIX = ".merge"
FORMAT = 1


@dataclass(frozen=True)
class Merge:
    """Images that lie on each other, in one directory, all of which become one."""

    into: str  # path of the topmost one, which is kept
    uuid: str  # of that
    gone: tuple[str, ...]  # paths of the others, from top to bottom
    committed: bool = False  # the lowest one holds what all of them hold

    @property
    def journal(self) -> str:
        return self.into + SUFFIX

    @property
    def base(self) -> str:
        return self.gone[-1]

    def write(self) -> None:
        """Atomic and durable."""
        names = [os.path.basename(path) for path in self.gone]
        text = {"nbdkit-replicate-merge": FORMAT, "image": self.uuid, "gone": names, "committed": self.committed}
        replace_file(self.journal, json.dumps(text) + "\n")

    @classmethod
    def read(cls, journal: str) -> "Merge":
        try:
            with open(journal, encoding="utf-8") as file:
                return _merge(journal, json.load(file))
        except (ValueError, KeyError, TypeError) as e:
            raise Failure(f"{journal} is no journal of a merge of images: {e}") from e


def _merge(journal: str, fields: dict[str, Any]) -> Merge:
    if fields["nbdkit-replicate-merge"] != FORMAT:
        raise ValueError("it is of another version")
    names = [str(name) for name in fields["gone"]]
    if not names or any(os.path.basename(name) != name or not name for name in names):
        raise ValueError("it names no images beside it")
    folder = os.path.dirname(journal)
    return Merge(journal.removesuffix(SUFFIX), str(fields["image"]), tuple(os.path.join(folder, name) for name in names),
                 bool(fields["committed"]))


def merges_in(folder: str) -> tuple[Merge, ...]:
    """Raises Failure if a journal cannot be read: then it is not known which of the images are restore points."""
    try:
        names = sorted(os.listdir(folder or "."))
    except FileNotFoundError:
        return ()
    return tuple(Merge.read(os.path.join(folder, name)) for name in names if name.endswith(SUFFIX))
