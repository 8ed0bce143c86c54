# SPDX-License-Identifier: BSD-3-Clause
"""What a run took, from its events."""
import time

from ..report.events import DiskEnded, DisksFound, Event, Stage, StageReached


class Measure:
    """A listener for the events of one run."""

    def __init__(self) -> None:
        self.began = time.time()
        self.instant = self.began  # about when the snapshot was made
        self._copying: float | None = None  # since when
        self._copied = self.began
        self.changed = 0  # bytes
        self.size = 0  # of the disks
        self.data = 0  # of these, what was read
        self.full = False  # a whole disk was copied
        self.start = 0.0  # seconds until the source could be read

    def __call__(self, event: Event) -> None:
        now = time.time()
        if isinstance(event, DisksFound):
            self.instant = now
        elif isinstance(event, StageReached) and event.stage == Stage.COPYING and self._copying is None:
            self._copying = now
            self.start = now - self.began
        elif isinstance(event, DiskEnded):
            self._copied = now
            self.size += event.record.size
            self.changed += event.record.changed
            self.data += min(event.record.changed, event.record.read)
            self.full = self.full or event.record.full

    @property
    def copying(self) -> float:
        """Seconds."""
        return max(0.0, self._copied - self._copying) if self._copying is not None else 0.0
