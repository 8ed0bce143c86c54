# SPDX-License-Identifier: BSD-3-Clause
"""What the next run of a machine will probably need, told by the records of earlier ones."""
import itertools
import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from ..plan.plan import Machine
from ..report.records import BEHIND, DONE, DiskRecord, read_records, records_directory

RUNS = 7  # that are looked at

# Of an image, beside the data: the tables of its clusters of 64 KiB if all are there, and the first clusters of any size.
_TABLES, _FIRST = 1 << 13, 16 << 20  # bytes of the disk for a byte of its tables; bytes


@dataclass(frozen=True)
class DiskHistory:
    """A disk in the latest runs that have completed it, the latest first."""

    records: tuple[DiskRecord, ...]

    @property
    def size(self) -> int:
        """Of the disk, in bytes."""
        return self.records[0].size

    def room(self) -> int | None:
        """Bytes that the image of an increment takes, the largest of late; None: not known."""
        sizes = [_taken(one) for one in self.records if not one.full]
        return max((size for size in sizes if size is not None), default=None)

    def rate(self) -> float | None:
        """Bytes of the delta a second."""
        rates = [one.changed / one.seconds for one in self.records if one.seconds > 0 and one.changed > 0]
        return statistics.median(rates) if rates else None

    def overhead(self) -> float:
        """Seconds of a disk with next to nothing to copy."""
        return min((one.seconds for one in self.records), default=0.0)


def history(machine: Machine) -> dict[str, DiskHistory]:
    """By disk."""
    found: dict[str, list[DiskRecord]] = {}
    for disk in itertools.islice(_completed(machine), 1000):
        found.setdefault(disk.disk or machine.single_disk, []).append(disk)
    return {name: DiskHistory(tuple(records[:RUNS])) for name, records in found.items()}


def _completed(machine: Machine) -> Iterator[DiskRecord]:
    for record in itertools.islice(read_records(records_directory(machine.states)), 2 * RUNS):
        yield from (disk for disk in record.disks if disk.result in (DONE, BEHIND))


def _taken(record: DiskRecord) -> int | None:
    """By the image, for what its run has copied. Prune merges others into an image, a full one as well: that its file has
    become large says nothing of the run. None if the image is not there any more, or has been merged into another."""
    try:
        allocated = os.stat(record.image).st_blocks * 512 if record.image else None
    except OSError:
        return None
    return None if allocated is None else min(allocated, record.changed + record.size // _TABLES + _FIRST)
