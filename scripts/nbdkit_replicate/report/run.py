# SPDX-License-Identifier: BSD-3-Clause
"""What the code of a run calls to tell what happens: RunReport for a machine, DiskReport for each of its disks."""
import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence

from ..composition.commands import StatisticsFiles
from ..messages import about, subject
from ..contract import SourceDescription
from ..programs.source import DiskFacts
from .events import (DiskEnded, DiskExamined, DisksFound, Event, Listener, RunBegun, RunEnded, Stage, StageReached)
from .records import INCOMPLETE, DiskRecord, RunRecord, time_of
from .watch import Watch


class RunReport:
    def __init__(self, vm: str = "", listeners: Sequence[Listener] = (), moment: str = "") -> None:
        """vm: as the user calls the machine. moment: {time} of the run's images."""
        started = time.time()
        self._listeners = listeners
        self._disks: dict[str, DiskReport] = {}
        self.record = RunRecord(vm, moment or time_of(started), started)
        self.hooks = 0.0  # seconds that the hooks of the plan have taken

    @property
    def vm(self) -> str:
        return self.record.vm

    def emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    @contextlib.contextmanager
    def running(self, vm_shown: bool | None = None) -> Iterator[None]:
        """The block is the run. It must call ended() unless it raises an exception, which is told as the cause."""
        with about(vm=self.vm, vm_shown=vm_shown):
            self.emit(RunBegun(self.vm, record=self.record))
            self.stage(Stage.STARTING)
            try:
                yield
            except BaseException as e:
                self.ended(INCOMPLETE, str(e) or type(e).__name__)
                raise

    def stage(self, stage: Stage) -> None:
        self.emit(StageReached(self.vm, stage=stage))

    def found(self, disks: Sequence[str | None]) -> None:
        self.emit(DisksFound(self.vm, disks=tuple(disk or "" for disk in disks)))

    def disk(self, name: str | None) -> "DiskReport":
        return self._disks.setdefault(name or "", DiskReport(self, name or ""))

    def ended(self, result: str, cause: str = "", read: int = 0) -> None:
        """Only the first call does anything. read: bytes that the source has read."""
        if self.record.ended is not None:
            return
        disks = tuple(disk.record for disk in self._disks.values())
        cause = cause or next((_cause(d) for d in disks if d.result == result), "")
        self.record = dataclasses.replace(self.record, ended=time.time(), result=result, cause=cause, disks=disks,
                                          read=read or sum(disk.read for disk in disks))
        self.emit(RunEnded(self.vm, record=self.record))


def _cause(disk: DiskRecord) -> str:
    return (f"disk {disk.disk}: " if disk.disk and disk.cause else "") + disk.cause


class DiskReport:
    def __init__(self, run: RunReport, disk: str) -> None:
        self._run = run
        self._began = time.monotonic()
        self._facts = DiskFacts(0, 0, SourceDescription())
        self._watch: Watch | None = None
        self.record = DiskRecord(disk)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self._began = time.monotonic()
        with about(disk=self.record.disk):
            yield

    def stage(self, stage: Stage) -> None:
        if self._watch and stage == Stage.COMPLETING:
            self._watch.copied()
        self._emit(StageReached, stage=stage)

    def examined(self, facts: DiskFacts) -> None:
        full, checkpoint = not facts.description.is_delta, facts.description.checkpoint
        self._facts = facts
        self._set(size=facts.size, changed=facts.delta, full=full, checkpoint=checkpoint)
        self._emit(DiskExamined, size=facts.size, changed=facts.delta, full=full)

    @contextlib.contextmanager
    def watching(self, image: str, files: StatisticsFiles) -> Iterator[Watch]:
        """The block is the life of the target server, whose statistics are in the files."""
        self._set(image=image)
        self._watch = watch = Watch(self._run.vm, self.record.disk, self._facts, files, self._run.emit, subject())
        watch.start()
        try:
            yield watch
        finally:
            self._watch = None
            self._set(**watch.end())

    def ended(self, result: str, cause: str = "", owed: dict[str, int] | None = None) -> None:
        """owed: by destination; the target is ""."""
        seconds = time.monotonic() - self._began
        moved = self.record.sent.get("", 0)
        self._set(result=result, cause=cause, seconds=seconds, rate=moved / seconds if seconds else 0.0)
        if owed is not None:
            self._set(owed=owed)
        self._emit(DiskEnded, record=self.record)

    def _set(self, **fields: object) -> None:
        self.record = dataclasses.replace(self.record, **fields)  # type: ignore[arg-type]

    def _emit(self, kind: type[Event], **fields: object) -> None:
        self._run.emit(kind(self._run.vm, self.record.disk, **fields))
