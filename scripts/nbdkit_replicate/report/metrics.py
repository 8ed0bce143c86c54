# SPDX-License-Identifier: BSD-3-Clause
"""Metrics for the textfile collector of node_exporter. One file for all machines of a plan; nothing in it collides with the
file of another plan."""
import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..files import replace_file
from ..messages import Failure, warn
from ..plan.plan import Machine, Plan
from .records import BEHIND, DONE, INCOMPLETE
from .status import KILLED, MachineStatus, result_of, status_of_plan

INTERVAL = 30.0  # seconds between two files during a run: whoever scrapes once a minute sees no older one
PREFIX = "nbdkit_replicate_"
MACHINE, DISK, DESTINATION = ("plan", "vm"), ("plan", "vm", "disk"), ("plan", "vm", "disk", "destination")


@dataclass(frozen=True)
class Metric:
    help: str
    labels: tuple[str, ...]


# By their names without PREFIX. nbdkit-replicate(1), "Metrics". destination is empty for the image.
METRICS = {
    "last_complete_timestamp_seconds": Metric("What the last complete restore point is as of.", DISK),
    "disk_size_bytes": Metric("Size of the disk.", DISK),
    "owed_bytes": Metric("Bytes that have not arrived at the destination.", DESTINATION),
    "destination_complete_timestamp_seconds": Metric("When the last run began that left the destination nothing owed.",
                                                     DESTINATION),
    "running": Metric("1 if a run is under way.", MACHINE),
    "run_result": Metric("1 for the result of the last run that has ended.", (*MACHINE, "result")),
    "run_timestamp_seconds": Metric("When the last run that has ended began.", MACHINE),
    "run_duration_seconds": Metric("How long the last run took.", MACHINE),
    "run_read_bytes": Metric("Bytes that the last run read from the source.", MACHINE),
    "run_changed_bytes": Metric("Bytes that the last run had to copy.", DISK),
    "run_disk_seconds": Metric("How long the last run took for the disk.", DISK),
    "run_sent_bytes": Metric("Bytes that the last run sent to the destination.", DESTINATION),
}
RESULTS = (DONE, BEHIND, INCOMPLETE, KILLED)

Sample = tuple[str, tuple[str, ...], float]  # name without PREFIX, values of the labels


def write_metrics(path: str, machines: Iterable[MachineStatus], plan: str) -> None:
    """Replaces the file, which everybody can read. plan: the label. Throws OSError, or Failure if the library is not
    there."""
    try:
        from prometheus_client import CollectorRegistry, Gauge, generate_latest
    except ImportError:
        raise Failure("metrics need the Python package prometheus_client: install python3-prometheus-client") from None
    registry = CollectorRegistry()
    gauges = {name: Gauge(PREFIX + name, metric.help, metric.labels, registry=registry)
              for name, metric in METRICS.items()}
    for machine in machines:
        for name, labels, value in _samples(machine):
            gauges[name].labels(*(_utf8(label) for label in (plan, machine.vm, *labels))).set(value)
    replace_file(path, generate_latest(registry).decode(), 0o644)


@contextlib.asynccontextmanager
async def fresh_metrics(plan: Plan, machines: Callable[[], Sequence[Machine]],
                        interval: float = INTERVAL) -> AsyncIterator[None]:
    """Around a run of a plan: replaces the file that it names at the beginning, every so many seconds, and at the end. That it
    cannot be written is a warning, once for each reason. machines: called from another thread."""
    if plan.metrics is None:
        yield
        return
    over = asyncio.Event()
    task = asyncio.create_task(_keep_fresh(plan, plan.metrics, machines, interval, over))
    try:
        yield
    finally:
        over.set()
        await task


async def _keep_fresh(plan: Plan, path: str, machines: Callable[[], Sequence[Machine]], interval: float,
                      over: asyncio.Event) -> None:
    def write() -> str:
        try:
            write_metrics(path, status_of_plan(machines()), plan.name)
            return ""
        except OSError as e:
            return f"{path}: {e.strerror}"
        except Failure as e:
            return str(e)

    said, last = "", False
    while not last:
        last = over.is_set()
        why = await asyncio.to_thread(write)
        if why not in ("", said):
            warn(f"metrics are not written: {why}")
            said = why
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(over.wait(), interval)


def _utf8(text: str) -> str:
    return text.encode(errors="replace").decode()


def _samples(machine: MachineStatus) -> Iterator[Sample]:
    """labels: without plan and vm."""
    yield "running", (), machine.running
    yield from _of_last_run(machine)
    for disk in machine.disks:
        if disk.complete is not None:
            yield "last_complete_timestamp_seconds", (disk.disk,), disk.complete
        if disk.size:
            yield "disk_size_bytes", (disk.disk,), disk.size
        if disk.owed is not None:
            yield "owed_bytes", (disk.disk, ""), disk.owed
        for destination in disk.destinations:
            owed = destination.owed if destination.owed is not None else disk.size
            yield "owed_bytes", (disk.disk, destination.name), owed
            if destination.complete is not None:
                yield "destination_complete_timestamp_seconds", (disk.disk, destination.name), destination.complete


def _of_last_run(machine: MachineStatus) -> Iterator[Sample]:
    last = machine.last
    if last is None:
        return
    for result in RESULTS:
        yield "run_result", (result,), result == result_of(last)
    yield "run_timestamp_seconds", (), last.started
    if last.ended is not None:
        yield "run_duration_seconds", (), last.ended - last.started
        yield "run_read_bytes", (), last.read
    for disk in last.disks:
        yield "run_changed_bytes", (disk.disk,), disk.changed
        yield "run_disk_seconds", (disk.disk,), disk.seconds
        for destination, sent in disk.sent.items():
            yield "run_sent_bytes", (disk.disk, destination), sent
