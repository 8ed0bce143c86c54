# SPDX-License-Identifier: BSD-3-Clause
"""How far the copying of a disk is, from the statistics files of its target server's filters."""
import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..composition.commands import StatisticsFiles
from ..messages import Level, Subject, say
from ..programs.source import DiskFacts
from ..statistics import ApplyStatistics, FanoutStatistics
from .events import DestinationProgress, DiskProgress, Event, Progressed, Stalled

INTERVAL = 1.0  # seconds between two looks; the filters write every two seconds
SPAN = 20.0  # seconds over which a rate is taken
STALL = 15.0  # seconds without anything new after which that is said
STALL_AGAIN = 300.0  # and then again
FRESH = 10.0  # seconds; statistics that are older tell nothing: they could not be written


@dataclass
class Rate:
    """Bytes a second over the last while."""

    points: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, now: float, count: int) -> float:
        self.points.append((now, count))
        while len(self.points) > 2 and now - self.points[1][0] > SPAN:
            self.points.popleft()
        elapsed = now - self.points[0][0]
        return max(0.0, (count - self.points[0][1]) / elapsed) if elapsed > 0 else 0.0


class Watch:
    def __init__(self, vm: str, disk: str, facts: DiskFacts, files: StatisticsFiles, emit: Callable[[Event], None],
                 of: Subject) -> None:
        self._vm, self._disk, self._facts, self._files = vm, disk, facts, files
        self._emit = emit
        self._subject = of
        self._rates: dict[str, Rate] = {}
        self._last: DiskProgress | None = None
        self._moved = time.monotonic()  # when something has arrived last, or need not any more
        self._said: float | None = None  # when it has been said that nothing arrives
        self._copying = True  # the client has not ended
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._look_again_and_again())

    def ready(self) -> None:
        """The target accepts connections: from now on something should arrive."""
        self._moved = time.monotonic()

    def copied(self) -> None:
        """The client has ended: it is no stall any more if nothing arrives."""
        self._copying = False

    @property
    def silent(self) -> float:
        """Seconds for which something should have arrived."""
        whole = self._last is not None and self._last.bytes >= self._last.total
        return 0.0 if whole or not self._copying or not self._is_fresh() else time.monotonic() - self._moved

    def _is_fresh(self) -> bool:
        try:
            return time.time() - os.stat(self._files.apply).st_mtime < FRESH
        except OSError:
            return False

    def end(self) -> dict[str, object]:
        """After the end of the server. Returns fields of DiskRecord."""
        if self._task:
            self._task.cancel()
        self._look()
        apply = ApplyStatistics.read(self._files.apply)
        sent = {"": apply.written + apply.zeroed}
        sent |= {d.name: d.sent for d in FanoutStatistics.read(self._files.fanout)}
        return {"sent": sent, "read": min(apply.arrived, self._facts.data)}

    async def _look_again_and_again(self) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError):
                self._look()
            await asyncio.sleep(INTERVAL)

    def _look(self) -> None:
        now = time.monotonic()
        apply = ApplyStatistics.read(self._files.apply)
        destinations = tuple(self._destination(now, d) for d in FanoutStatistics.read(self._files.fanout))
        rate = self._rate("", now, apply.arrived)
        total = apply.delta or self._facts.delta
        progress = DiskProgress(apply.arrived, total, rate, _left(total - apply.arrived, rate), destinations)
        moved = self._last is None or progress.bytes != self._last.bytes
        self._last = progress
        self._emit(Progressed(self._vm, self._disk, progress=progress))
        self._tell_stall(now, moved)

    def _tell_stall(self, now: float, moved: bool) -> None:
        silent = now - self._moved
        if moved or not self._copying:
            self._moved = now
            if self._said is not None:
                self._said = None
                self._emit(Stalled(self._vm, self._disk, seconds=silent, ended=True))
                say(f"it goes on, after {silent:.0f} seconds", of=self._subject)
        elif silent >= STALL and (self._said is None or now - self._said >= STALL_AGAIN):
            self._said = now
            self._emit(Stalled(self._vm, self._disk, seconds=silent))
            say(f"nothing has been copied for {silent:.0f} seconds: the source or a destination does not answer; the run "
                "goes on when it does", Level.WARNING, self._subject)

    def _destination(self, now: float, of: FanoutStatistics) -> DestinationProgress:
        rate = self._rate(of.name, now, of.sent)
        return DestinationProgress(of.name, of.sent, of.owed, rate, _left(of.owed, rate), of.in_sync)

    def _rate(self, name: str, now: float, count: int) -> float:
        return self._rates.setdefault(name, Rate()).add(now, count)


def _left(count: int, rate: float) -> float | None:
    return 0.0 if count <= 0 else count / rate if rate > 0 else None
