# SPDX-License-Identifier: BSD-3-Clause
"""How the replicas are: for people, as JSON, and as the line of a monitoring plugin."""
import datetime
from typing import Any

from ..cutover.journal import Journal, Step
from ..messages import printable
from ..table import print_table
from . import text
from .records import BEHIND, DONE
from .status import WORST_FIRST, DestinationStatus, DiskStatus, Grade, MachineStatus, Report, cause_of, result_of

WORDS = {DONE: "done", BEHIND: "done, but a destination is behind", "incomplete": "not complete", "killed": "killed"}


def local_time(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")


def name_of(machine: MachineStatus, disk: DiskStatus) -> str:
    return f"{machine.vm} disk {disk.disk}" if disk.disk else machine.vm


def print_people(report: Report) -> None:
    """A table of the disks, then what the last run of each machine came to."""
    head, rows = ("STATUS", "VM", "DISK", "COMPLETE AS OF", "AGE", "DESTINATIONS"), []
    for machine in report.machines:
        for disk in machine.disks:
            rows.append((report.grade_of(machine, disk).name, machine.vm, disk.disk or "-", *_point(report, disk),
                         "; ".join(owed_text(d) for d in disk.destinations) or "-"))
        if not machine.disks:
            rows.append((report.grade(machine).name, machine.vm, "-", "never", "", ""))
    if rows:
        print_table(head, [tuple(map(printable, row)) for row in rows])
    for machine in report.machines:
        lines = [f"{machine.vm}: {part}" for part in _runs(machine, report.now)]
        lines += [f"{name_of(machine, disk)}: {disk.fault}" for disk in machine.disks if disk.fault]
        print(*map(printable, lines), sep="\n", end="\n" if lines else "")


def _point(report: Report, disk: DiskStatus) -> tuple[str, str]:
    if disk.complete is None:
        return "never", ""
    return local_time(disk.complete), text.duration(max(0.0, report.now - disk.complete))


def owed_text(destination: DestinationStatus) -> str:
    if destination.owed is None:
        return f"{destination.name}: nothing recorded"
    return f"{destination.name}: " + (f"owed {text.size(destination.owed)}" if destination.owed else "complete")


def _runs(machine: MachineStatus, now: float) -> list[str]:
    last, lines = machine.last, []
    if machine.running:
        began = machine.records[0].started if machine.records else now
        lines.append(f"a run is under way, for {text.duration(max(0.0, now - began))}")
    if last is not None:
        cause = cause_of(last)
        lines.append(f"last run {local_time(last.started)}: {WORDS[result_of(last)]}" + (f": {cause}" if cause else ""))
    if machine.cutover is not None:
        lines.append(_cutover(machine.cutover))
    return lines


_STEPS = {
    Step.ROUNDS: "rounds are made while the machine runs", Step.SHUTDOWN: "the machine has been asked to shut down",
    Step.OFF: "the machine is off, the last increment is copied",
    Step.HANDOVER: "everything is copied, the machine is being handed over",
    Step.DONE: "handed over", Step.ABORTED: "aborted"}


def _cutover(journal: Journal) -> str:
    pulled = journal.pulled and journal.step == Step.HANDOVER
    line = f"cutover: {'the images are served, and fetch what is missing' if pulled else _STEPS[journal.step]}"
    if journal.step == Step.DONE and journal.ended is not None:
        line += f" at {local_time(journal.ended)}"
    if journal.measured is not None:
        predicted = f", {text.duration(journal.predicted)} were predicted" if journal.predicted is not None else ""
        line += f"; downtime {text.duration(journal.measured)}{predicted}, {text.duration(journal.downtime)} agreed on"
    return line


def _cutover_fields(journal: Journal) -> dict[str, Any]:
    return {"step": journal.step.value, "rounds": len(journal.rounds), "agreed": journal.downtime,
            "predicted": journal.predicted, "downtime": journal.measured, "shutdown": journal.shutdown_seconds,
            "images": dict(journal.images)}


def monitor(report: Report) -> str:
    """One line, with performance data: monitoring-plugins.org, guidelines."""
    bad = []
    for machine in report.machines:
        if not machine.disks:
            bad.append((report.grade(machine), f"{machine.vm}: nothing has been copied yet"))
        for disk in machine.disks:
            for finding in report.findings(machine, disk):
                if finding.grade != Grade.OK:
                    what = finding.text or f"the last complete point is {_age(report, disk)} old"
                    bad.append((finding.grade, f"{name_of(machine, disk)}: {what}"))
    bad.sort(key=lambda pair: WORST_FIRST.index(pair[0]))
    disks = sum(len(machine.disks) for machine in report.machines)
    said = "; ".join(text for _, text in bad) or f"{disks} disks of {len(report.machines)} machines have a recent point"
    said = printable(said).replace("|", "/")
    return f"{report.overall.name}: {said} | {' '.join(_performance(report))}"


def _age(report: Report, disk: DiskStatus) -> str:
    return text.duration(max(0.0, report.now - (disk.complete or report.now)))


def _performance(report: Report) -> list[str]:
    limits = f"{report.thresholds.stale:.0f};{report.thresholds.critical:.0f};0"
    ages, owed = [], []
    for machine in report.machines:
        for disk in machine.disks:
            label = printable(name_of(machine, disk)).replace("'", "''").replace("=", "_").replace("|", "/")
            if disk.complete is not None:
                ages.append(f"'{label} age'={max(0.0, report.now - disk.complete):.0f}s;{limits}")
            owed.append(f"'{label} owed'={sum(d.owed or 0 for d in disk.destinations)}B;;;0")
    return ages + owed


def fields(report: Report) -> dict[str, Any]:
    """For --json."""
    return {"time": round(report.now, 3), "status": report.overall.name,
            "machines": [_machine(report, machine) for machine in report.machines]}


def _machine(report: Report, machine: MachineStatus) -> dict[str, Any]:
    last = machine.last
    return {
        "vm": machine.vm, "status": report.grade(machine).name, "running": machine.running,
        "last_run": None if last is None else {
            "time": last.time, "started": last.started, "ended": last.ended, "result": result_of(last),
            "cause": cause_of(last)},
        "cutover": None if machine.cutover is None else _cutover_fields(machine.cutover),
        "disks": [_disk(report, machine, disk) for disk in machine.disks],
    }


def _disk(report: Report, machine: MachineStatus, disk: DiskStatus) -> dict[str, Any]:
    return {
        "disk": disk.disk, "status": report.grade_of(machine, disk).name, "size": disk.size or None,
        "point": disk.point or None, "complete": disk.complete,
        "age": None if disk.complete is None else round(max(0.0, report.now - disk.complete), 3),
        "owed": disk.owed, "fault": disk.fault or None,
        "destinations": [{"name": d.name, "owed": d.owed, "complete": d.complete} for d in disk.destinations],
    }
