# SPDX-License-Identifier: BSD-3-Clause
"""What goes on now: the latest of each machine and disk, from the events."""
import time
from dataclasses import dataclass, field

from .events import (DiskEnded, DiskExamined, DiskProgress, DisksFound, Event, Progressed, RunBegun, RunEnded, Stage,
                     StageReached)


@dataclass
class DiskState:
    vm: str
    disk: str
    stage: Stage = Stage.WAITING
    progress: DiskProgress | None = None
    changed: int = 0  # bytes that are to be copied
    since: float = 0.0  # when the stage began, or a line was printed about it, by time.monotonic()


@dataclass
class MachineState:
    vm: str
    stage: Stage = Stage.STARTING
    since: float = 0.0
    disks: dict[str, DiskState] = field(default_factory=dict)  # that have not ended


class Board:
    def __init__(self) -> None:
        self.machines: dict[str, MachineState] = {}  # that have not ended
        self.ended = 0  # machines

    def receive(self, event: Event) -> None:
        if isinstance(event, RunBegun):
            self.machines[event.vm] = MachineState(event.vm, since=time.monotonic())
            return
        machine = self.machines.get(event.vm)
        if machine is None:
            return
        if isinstance(event, RunEnded):
            del self.machines[event.vm]
            self.ended += 1
        elif isinstance(event, DisksFound):
            machine.disks = {name: DiskState(event.vm, name, since=time.monotonic()) for name in event.disks}
        elif event.disk is None:
            if isinstance(event, StageReached):
                machine.stage, machine.since = event.stage, time.monotonic()
        elif isinstance(event, DiskEnded):
            machine.disks.pop(event.disk, None)
        elif event.disk in machine.disks:
            _receive(machine.disks[event.disk], event)


def _receive(disk: DiskState, event: Event) -> None:
    if isinstance(event, StageReached):
        disk.stage, disk.since = event.stage, time.monotonic()
    elif isinstance(event, Progressed):
        disk.progress = event.progress
    elif isinstance(event, DiskExamined):
        disk.changed = event.changed
