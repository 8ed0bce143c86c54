# SPDX-License-Identifier: BSD-3-Clause
"""Numbers and records as text for people."""
import os

from ..messages import Subject, mib
from .events import DestinationProgress, DiskProgress, Stage
from .records import DiskRecord, RunRecord

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")

DOING = {
    Stage.STARTING: "the source server starts",
    Stage.WAITING: "waits for its turn",
    Stage.EXAMINING: "the source is asked what is to be copied",
    Stage.COPYING: "is copied",
    Stage.COMPLETING: "the destination completes what is missing",
    Stage.REMOVING: "the source server ends and removes its snapshot",
}


def size(count: float) -> str:
    """MiB, from 1 GiB on GiB and so on."""
    unit = 1
    while unit + 1 < len(_UNITS) and count >= 1 << 10 * (unit + 2):
        unit += 1
    return mib(count) if unit == 1 else f"{count / (1 << 10 * (unit + 1)):.1f} {_UNITS[unit]}"


def rate(bytes_a_second: float) -> str:
    return f"{size(bytes_a_second)}/s"


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = round(minutes / 60)
    if hours < 48:
        return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
    return f"{hours // 24} d" + (f" {hours % 24} h" if hours % 24 else "")


def clock(seconds: float | None) -> str:
    """For a column of the terminal; "" if it is not known."""
    if seconds is None or seconds >= 360000:
        return ""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"


def of(progress: DiskProgress) -> str:
    """45%, 1.2 GiB of 2.7 GiB, 23.4 MiB/s, 1 min left; dr is owed 12.0 MiB"""
    parts = [f"{progress.percent:.0f}%, {size(progress.bytes)} of {size(progress.total)}, {rate(progress.rate)}"]
    if progress.left:
        parts[0] += f", {duration(progress.left)} left"
    return "; ".join(parts + [_of(d) for d in progress.destinations if d.owed or d.sent])


def _of(destination: DestinationProgress) -> str:
    owed = f"is owed {size(destination.owed)}" if destination.owed else "is owed nothing"
    return f"{destination.name} {owed}" + (f", {rate(destination.rate)}" if destination.rate else "")


def target_name(record: DiskRecord) -> str:
    return os.path.basename(record.image) or "the destination"


def summary(record: DiskRecord) -> str:
    """8.0 GiB disk, 1.2 GiB changed, 1.1 GiB read, sent 1.2 GiB to web1.qcow2, 1.2 GiB to dr; 92 s, 13.4 MiB/s"""
    sent = ", ".join(f"{size(count)} to {name or target_name(record)}" for name, count in record.sent.items())
    return (f"{size(record.size)} disk, {size(record.changed)} {'to copy' if record.full else 'changed'}, "
            f"{size(record.read)} read" + (f", sent {sent}" if sent else "")
            + f"; {duration(record.seconds)}, {rate(record.rate)}")


def totals(record: RunRecord) -> str:
    """The same of all disks."""
    disks = record.disks
    moved, seconds = sum(sum(disk.sent.values()) for disk in disks), (record.ended or record.started) - record.started
    return (f"{len(disks)} disks: {size(sum(disk.size for disk in disks))}, "
            f"{size(sum(disk.changed for disk in disks))} to copy, {size(record.read)} read, {size(moved)} sent; "
            f"{duration(seconds)}, {rate(moved / seconds if seconds else 0)}")


def of_machines(records: list[RunRecord]) -> list[str]:
    """What a run of several machines comes to: those that failed are named last, with their causes."""
    done = [record for record in records if record.result == "done"]
    disks = [disk for record in records for disk in record.disks]
    moved = sum(sum(disk.sent.values()) for disk in disks)
    lines = [f"{len(done)} of {len(records)} machines are done: {len(disks)} disks, "
             f"{size(sum(disk.changed for disk in disks))} to copy, {size(sum(r.read for r in records))} read, "
             f"{size(moved)} sent"]
    for result, words in (("behind", "has a destination that is behind"), ("incomplete", "is not complete")):
        lines += [f"{r.vm} {words}: {r.cause}" for r in records if r.result == result]
    return lines


def label(subject: Subject) -> str:
    """Of a line of progress."""
    vm = subject.vm if subject.vm_shown or not subject.disk else ""
    return " ".join(part for part in (vm, subject.disk) if part) or "disk"
