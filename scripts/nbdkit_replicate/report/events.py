# SPDX-License-Identifier: BSD-3-Clause
"""What happens in a run, as values. run/ makes them by report/run.py; views and records receive them."""
import enum
from collections.abc import Callable
from dataclasses import dataclass

from .records import DiskRecord, RunRecord


class Stage(enum.Enum):
    """Of a run, or of a disk. The values are what --json writes."""

    STARTING = "starting"  # the source server starts: it logs in, and makes a snapshot
    WAITING = "waiting"  # the disk waits for its turn
    EXAMINING = "examining"  # the source is asked what is to be copied
    COPYING = "copying"
    COMPLETING = "completing"  # the client has ended; the destination writes what is missing, slow ones catch up
    REMOVING = "removing"  # all disks have ended; the source removes its snapshot


@dataclass(frozen=True)
class DestinationProgress:
    name: str
    sent: int  # bytes, zeroes included, that it has acknowledged in this run
    owed: int  # bytes
    rate: float  # bytes a second, of late
    left: float | None  # seconds until nothing is owed; None: not known
    in_sync: bool  # connected, and nothing is owed


@dataclass(frozen=True)
class DiskProgress:
    """Of the copying. bytes and total count what is in the delta, zeroes included."""

    bytes: int  # have arrived at the target
    total: int  # are to arrive
    rate: float  # bytes a second, of late
    left: float | None  # seconds; None: not known
    destinations: tuple[DestinationProgress, ...] = ()

    @property
    def percent(self) -> float:
        return 100.0 * self.bytes / self.total if self.total else 100.0


@dataclass(frozen=True)
class Event:
    """disk: None if it is about the machine, "" for a single disk without a name."""

    vm: str
    disk: str | None = None


@dataclass(frozen=True)
class RunBegun(Event):
    record: RunRecord = RunRecord("", "", 0.0)


@dataclass(frozen=True)
class DisksFound(Event):
    disks: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageReached(Event):
    stage: Stage = Stage.STARTING


@dataclass(frozen=True)
class DiskExamined(Event):
    size: int = 0  # of the disk, in bytes
    changed: int = 0  # bytes that are to be copied
    full: bool = False


@dataclass(frozen=True)
class Progressed(Event):
    progress: DiskProgress = DiskProgress(0, 0, 0.0, None)


@dataclass(frozen=True)
class Stalled(Event):
    """Nothing has arrived for a while; or it arrives again (seconds is how long that has been)."""

    seconds: float = 0.0
    ended: bool = False


@dataclass(frozen=True)
class DiskEnded(Event):
    record: DiskRecord = DiskRecord()


@dataclass(frozen=True)
class RunEnded(Event):
    record: RunRecord = RunRecord("", "", 0.0)


Listener = Callable[[Event], None]
