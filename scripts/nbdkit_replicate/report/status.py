# SPDX-License-Identifier: BSD-3-Clause
"""How the replicas of a plan are, from files alone: the images, the states, what destinations are owed, records of runs.
It asks no vCenter, and holds nothing that a run wants, so it may be asked at any time."""
import contextlib
import enum
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..contract import DISK, destination_name, known_destinations
from ..cutover.journal import Journal, read_journal
from ..messages import Failure
from ..parameters import value
from ..plan.plan import Machine
from ..points.machines import points_of
from ..points.naming import is_to_come
from ..plan.plan import NAMELESS
from ..points.points import Point
from ..states import disks_with_state, names_directory, read_state, state_path
from .records import BEHIND, DONE, RUNNING, DiskRecord, RunRecord, is_running, read_records, records_directory

KILLED = "killed"  # a result, beside those of records
NOTHING: Mapping[str, int] = {}


class Grade(enum.Enum):
    """The values are exit statuses of monitoring plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


WORST_FIRST = (Grade.CRITICAL, Grade.WARNING, Grade.UNKNOWN, Grade.OK)


def worst(grades: Iterable[Grade]) -> Grade:
    found = set(grades)
    return next((grade for grade in WORST_FIRST if grade in found), Grade.UNKNOWN)


@dataclass(frozen=True)
class Thresholds:
    """Of an age, in seconds."""

    stale: float
    critical: float

    def grade(self, age: float) -> Grade:
        return Grade.CRITICAL if age >= self.critical else Grade.WARNING if age >= self.stale else Grade.OK


@dataclass(frozen=True)
class DestinationStatus:
    name: str
    owed: int | None  # bytes; None: nothing has been recorded, so the whole disk
    complete: float | None  # when the last run that left it nothing owed began, in seconds since 1970; None: not known


@dataclass(frozen=True)
class DiskStatus:
    disk: str  # "" if it has no name
    size: int = 0  # in bytes; 0: not known
    point: str = ""  # the last complete one: a file; "" if the target is none
    complete: float | None = None  # what the last complete point is as of, in seconds since 1970; None: there is none
    owed: int | None = None  # by the image that is being written, in bytes; None: there is no state
    destinations: tuple[DestinationStatus, ...] = ()
    fault: str = ""  # why something of this could not be found out, or is not what it should be


@dataclass(frozen=True)
class MachineStatus:
    vm: str
    disks: tuple[DiskStatus, ...] = ()
    running: bool = False
    records: tuple[RunRecord, ...] = ()  # the latest first
    cutover: Journal | None = None

    @property
    def last(self) -> RunRecord | None:
        """The last run that is not under way."""
        return next((r for r in self.records if not (self.running and r is self.records[0] and r.result == RUNNING)), None)


def result_of(record: RunRecord) -> str:
    """Of a run that is not under way."""
    return KILLED if record.result == RUNNING else record.result


def cause_of(record: RunRecord) -> str:
    return "the run was killed" if record.result == RUNNING else record.cause


@dataclass(frozen=True)
class Finding:
    """What a monitor is told about a disk."""

    grade: Grade
    text: str


@dataclass(frozen=True)
class Report:
    machines: tuple[MachineStatus, ...]
    thresholds: Thresholds
    now: float = field(default_factory=time.time)

    def findings(self, machine: MachineStatus, disk: DiskStatus) -> list[Finding]:
        """The first one is about the last complete point."""
        result = [self._of_point(machine, disk)]
        for destination in disk.destinations:
            if destination.complete is not None and destination.owed:
                grade = self.thresholds.grade(self.now - destination.complete)
                result.append(Finding(grade, f"{destination.name} is behind"))
            elif destination.owed or destination.owed is None and disk.complete is not None:
                result.append(Finding(Grade.WARNING, f"{destination.name} has never had everything"))
        if disk.fault:
            result.append(Finding(Grade.WARNING, disk.fault))
        return result

    def grade(self, machine: MachineStatus) -> Grade:
        if not machine.disks:
            return Grade.UNKNOWN if machine.last is None else Grade.CRITICAL
        return worst(self.grade_of(machine, disk) for disk in machine.disks)

    def grade_of(self, machine: MachineStatus, disk: DiskStatus) -> Grade:
        return worst(finding.grade for finding in self.findings(machine, disk))

    @property
    def overall(self) -> Grade:
        return worst(map(self.grade, self.machines))

    def _of_point(self, machine: MachineStatus, disk: DiskStatus) -> Finding:
        if disk.complete is not None:
            return Finding(self.thresholds.grade(self.now - disk.complete), "")
        return Finding(Grade.CRITICAL if machine.last else Grade.UNKNOWN, "there is no complete point")


def status_of_plan(machines: Sequence[Machine]) -> tuple[MachineStatus, ...]:
    return tuple(_of_machine(machine) for machine in machines)


def status_of_state(state: str) -> MachineStatus:
    """Of runs by options. state: a file, or a directory of states. What is complete is told by the records."""
    runs = _Runs(state)
    several = names_directory(state)
    names = disks_with_state(state) if several else [""]
    vm = next((r.vm for r in runs.records if r.vm), os.path.basename(state.rstrip("/")).removesuffix(".state"))
    disks = []
    for name in names:
        path = state_path(state, name) if several else state
        complete = runs.last_complete(name)
        point = next((d.image for r in runs.records for d in r.disks if d.disk == name and r.started == complete), "")
        to_come = "the last complete run" if complete is not None and is_to_come(complete, time.time()) else ""
        disks.append(_of_disk(name, path, path + ".fanout", (), runs, point, complete, to_come, told=runs.last_owed(name)))
    return MachineStatus(vm, tuple(disks), runs.running, runs.records)


class _Runs:
    def __init__(self, state: str) -> None:
        directory = records_directory(state)
        self.running = is_running(directory)
        self.records = tuple(read_records(directory))

    def last_complete(self, disk: str, destination: str = "") -> float | None:
        """When the last run began that left nothing owed."""
        return next((r.started for r in self.records for d in r.disks if d.disk == disk and _is_complete(d, destination)),
                    None)

    def last_owed(self, disk: str) -> dict[str, int]:
        """By the further destinations, after the last run that has recorded it: destination -> bytes."""
        owed = next((d.owed for r in self.records for d in r.disks if d.disk == disk and d.owed), {})
        return {destination: count for destination, count in owed.items() if destination}


def _is_complete(disk: DiskRecord, destination: str) -> bool:
    return disk.result in (DONE, BEHIND) and disk.owed.get(destination) == 0


def _of_machine(machine: Machine) -> MachineStatus:
    runs = _Runs(machine.states)
    points, to_come, fault = _points(machine)
    names = sorted({*disks_with_state(machine.states), *points})
    disks = []
    for name in names:
        if machine.disks and name not in machine.disks:
            continue
        state = state_path(machine.states, name)
        owed_in = (value(machine.target.parameters, "fanout-state") or state + ".fanout").replace(DISK, name)
        also = [destination_name(d.uri.replace(DISK, name), [p.replace(DISK, name) for p in d.parameters])
                for d in machine.also]
        point = points.get(name)
        disks.append(_of_disk(name, state, owed_in, also, runs, point.path if point else "",
                              point.when.timestamp() if point else None, to_come.get(name, ""), fault))
    return MachineStatus(machine.name, tuple(disks), runs.running, runs.records, _cutover(machine.states))


def _cutover(states: str) -> Journal | None:
    with contextlib.suppress(Failure):  # the next cutover tells what is wrong with it
        return read_journal(states)
    return None


def _points(machine: Machine) -> tuple[dict[str, Point], dict[str, str], str]:
    """The last complete point of each disk, which is as of a time to come only if there is no other; the name of one that is;
    and why images could not be looked for."""
    try:
        complete = [point for point in points_of(machine).points if point.is_complete]  # sorted by time
    except OSError as e:
        return {}, {}, f"{e.filename}: {e.strerror}"
    last = {point.disk: point for point in complete if not point.is_to_come}
    to_come = {point.disk: point for point in complete if point.is_to_come}
    return {**to_come, **last}, {disk: os.path.basename(point.path) for disk, point in to_come.items()}, ""


def _of_disk(name: str, state: str, owed_in: str, also: Sequence[str], runs: _Runs, point: str, complete: float | None,
             to_come: str = "", fault: str = "", told: Mapping[str, int] = NOTHING) -> DiskStatus:
    """to_come: what is as of a time to come. told: what destinations are owed that have no file in the directory owed_in, as
    with fanout-state= of the user's own."""
    size, owed, recorded = 0, None, dict(told)
    try:
        if os.path.exists(state):
            found = read_state(state)
            size, owed = found.size, found.owed
            if found.used:
                fault = fault or f"clients have written to it: it is no replica any more ({state})"
        if os.path.isdir(owed_in):
            for path, destination in known_destinations(owed_in):
                with contextlib.suppress(FileNotFoundError):
                    recorded[destination] = read_state(path).owed
    except (Failure, OSError) as e:
        fault = fault or str(e)
    names = [*also, *(other for other in recorded if other not in also)]
    key = "" if name == NAMELESS else name
    destinations = tuple(DestinationStatus(d, recorded.get(d), runs.last_complete(name, d) or runs.last_complete(key, d))
                         for d in names)
    if to_come and not fault:
        fault = f"{to_come} is as of a time to come: the clock was wrong, or is now"
    return DiskStatus(name, size, point, complete, owed, destinations, fault)
