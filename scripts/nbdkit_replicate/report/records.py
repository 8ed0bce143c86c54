# SPDX-License-Identifier: BSD-3-Clause
"""Records of runs: one file of JSON for each run of a machine, DIRECTORY/TIME.json. nbdkit-replicate(1), "Records".

A record is written when the run begins, with the result "running", and replaced when it has ended. So a run that was
killed has left one that says "running" while nobody holds the lock, DIRECTORY/lock.
"""
import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..files import open_to_lock, replace_file
from ..points.naming import AHEAD, time_text

KEPT = 400  # records of a machine; older ones are removed
FORMAT = 1
LOCK = "lock"

RUNNING, DONE, BEHIND, INCOMPLETE = "running", "done", "behind", "incomplete"


@dataclass(frozen=True)
class DiskRecord:
    disk: str = ""
    image: str = ""  # a file; "" if the target is none
    checkpoint: str = ""  # that the image holds if the result is not "incomplete"
    full: bool = False  # the whole disk was copied
    size: int = 0  # of the disk, in bytes
    changed: int = 0  # bytes that were to be copied, zeroes included
    read: int = 0  # bytes of data that came from the source
    sent: dict[str, int] = field(default_factory=dict)  # destination -> bytes; the target is ""
    owed: dict[str, int] = field(default_factory=dict)  # the same, after the run; those that owe nothing as well
    seconds: float = 0.0
    rate: float = 0.0  # bytes a second
    result: str = INCOMPLETE
    cause: str = ""  # "" if the result is "done"


@dataclass(frozen=True)
class RunRecord:
    vm: str
    time: str  # as in the names of the record's file and of the images
    started: float  # seconds since 1970
    ended: float | None = None
    result: str = RUNNING  # the worst of the disks'
    cause: str = ""
    read: int = 0  # bytes that the source read, for all disks
    disks: tuple[DiskRecord, ...] = ()
    downtime: float | None = None  # seconds, if it was the last run of a cutover
    predicted_downtime: float | None = None


def time_of(moment: float) -> str:
    """{time}. moment: seconds since 1970."""
    return time_text(datetime.datetime.fromtimestamp(moment, datetime.UTC))


def records_directory(state: str) -> str:
    """state: a directory of states, or a state file."""
    return os.path.join(state, "runs") if state.endswith("/") or os.path.isdir(state) else state + ".runs"


@contextlib.contextmanager
def run_under_way(directory: str) -> Iterator[None]:
    """Within the block is_running() is true. Several runs may be under way; that of a state excludes others by itself."""
    lock = os.open(os.path.join(directory, LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)  # waits at most for an is_running()
        yield
    finally:
        os.close(lock)


def is_running(directory: str) -> bool:
    """Keeps no run from beginning."""
    try:
        lock = open_to_lock(os.path.join(directory, LOCK))
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def new_record(directory: str, time: str) -> str:
    """The path of one that did not exist, and is created empty: two runs may begin within a second, and at the same time.
    Throws OSError."""
    path, number = os.path.join(directory, f"{time}.json"), 1
    while True:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            return path
        except FileExistsError:
            number += 1
            path = os.path.join(directory, f"{time}-{number}.json")


def write_record(path: str, record: RunRecord) -> None:
    """Atomic and durable. Removes the oldest records beyond KEPT. Throws OSError."""
    text = json.dumps({"nbdkit-replicate-run": FORMAT, **dataclasses.asdict(record)}, indent=1)
    replace_file(path, text + "\n")
    for old in record_files(os.path.dirname(path) or ".")[KEPT:]:
        os.unlink(old)


def amend_record(directory: str, time: str, **fields: Any) -> None:
    """Of the last run of that time. Throws OSError."""
    for path in record_files(directory):
        record = read_record(path)
        if record is not None and record.time == time:
            write_record(path, dataclasses.replace(record, **fields))
            return


def record_files(directory: str) -> list[str]:
    """Paths, the latest first; those of a time to come are the last, as the clock was wrong. [] if there is no directory."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    now = time_text(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=AHEAD))
    found = [(m[1] <= now, m[1], int(m[2] or 1), name) for name in names
             if (m := re.fullmatch(r"(\d{8}T\d{6}Z)(?:-(\d+))?\.json", name))]
    return [os.path.join(directory, name) for *_, name in sorted(found, reverse=True)]


def read_records(directory: str) -> Iterator[RunRecord]:
    """The latest first. Leaves out what is no record, and what another run has just removed."""
    for path in record_files(directory):
        record = read_record(path)
        if record is not None:
            yield record


def read_record(path: str) -> RunRecord | None:
    """None if it cannot be read or is no record."""
    try:
        with open(path, encoding="utf-8") as file:
            fields = json.load(file)
        if fields.pop("nbdkit-replicate-run") != FORMAT:
            return None
        disks = tuple(_known(DiskRecord, disk) for disk in fields.pop("disks"))
        return _known(RunRecord, {**fields, "disks": disks})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _known(kind: Any, fields: dict[str, Any]) -> Any:
    """Fields of later versions are left out."""
    names = {f.name for f in dataclasses.fields(kind)}
    return kind(**{key: value for key, value in fields.items() if key in names})
