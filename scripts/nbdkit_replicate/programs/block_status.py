# SPDX-License-Identifier: BSD-3-Clause
"""The map of an export, in totals. Several questions are under way at a time: a disk may need many."""
import collections
from dataclasses import dataclass, field

import nbd

from ..contract import is_delta_extent

UNDER_WAY = 8  # questions
MOST = 0xFFFF_0000  # bytes of a question: 32 bits, whole blocks


@dataclass
class MapTotals:
    """Of the map from the beginning of the disk, or of a part, on."""

    sizes: dict[int, int] = field(default_factory=lambda: collections.defaultdict(int))  # flags -> bytes
    areas: int = 0  # ranges that are to be copied, with nothing else between them
    begins: bool = False  # with such a range
    ends: bool = False

    def add(self, length: int, flags: int) -> None:
        is_shown = is_delta_extent(flags)
        self.begins = is_shown if not self.sizes else self.begins
        self.areas += is_shown and not self.ends
        self.ends = is_shown
        self.sizes[flags] += length

    def append(self, part: "MapTotals") -> None:
        """part: what follows, which is not empty."""
        self.begins = part.begins if not self.sizes else self.begins
        self.areas += part.areas - (self.ends and part.begins)
        self.ends = part.ends
        for flags, length in part.sizes.items():
            self.sizes[flags] += length


class _Part:
    """Asks for a part of the map, again for what an answer has left out."""

    def __init__(self, handle: nbd.NBD, offset: int, end: int) -> None:
        self._handle = handle
        self._at = offset
        self._end = end
        self.totals = MapTotals()
        self._ask()

    def _ask(self) -> None:
        self._cookie = self._handle.aio_block_status(self._end - self._at, self._at, self._answered)

    def _answered(self, context: str, _offset: int, entries: list[int], _error: int) -> int:
        if context == nbd.CONTEXT_BASE_ALLOCATION:
            for length, flags in zip(entries[::2], entries[1::2]):
                length = min(length, self._end - self._at)  # the last one may be longer than what was asked for
                if length > 0:
                    self.totals.add(length, flags)
                    self._at += length
        return 0

    def is_complete(self) -> bool:
        """Asks for the rest if the answer has come, and had less. Throws nbd.Error."""
        if not self._handle.aio_command_completed(self._cookie):
            return False
        if self._at >= self._end:
            return True
        self._ask()
        return False


def read_totals(handle: nbd.NBD, deadline: float) -> MapTotals:
    """handle: connected, with base:allocation; nobody else uses it. deadline: seconds for an answer. Blocks. Throws
    nbd.Error, TimeoutError."""
    size = handle.get_size()
    totals = MapTotals()
    parts: collections.deque[_Part] = collections.deque()
    at = 0
    while at < size or parts:
        while at < size and len(parts) < UNDER_WAY:
            end = min(at + MOST, size)
            parts.append(_Part(handle, at, end))
            at = end
        if handle.poll(int(deadline * 1000)) == 0:
            raise TimeoutError
        while parts and parts[0].is_complete():
            totals.append(parts.popleft().totals)
    return totals
