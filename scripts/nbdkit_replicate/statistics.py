# SPDX-License-Identifier: BSD-3-Clause
"""Statistics files of the modules, in the text format of Prometheus: prometheus_text() of each module."""
import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ApplyStatistics:
    """Of apply-stats=: filters/apply/job/job_status.cpp. In bytes."""

    delta: int = 0
    arrived: int = 0  # of the delta
    written: int = 0  # by clients, in the delta
    zeroed: int = 0

    @classmethod
    def read(cls, path: str) -> "ApplyStatistics":
        """All 0 if there is no such file yet."""
        found = {name: value for name, _, value in _samples(path)}
        names = ("delta_bytes", "covered_bytes", "written_bytes_total", "zeroed_bytes_total")
        return cls(*(found.get(f"nbdkit_apply_{name}", 0) for name in names))


@dataclass(frozen=True)
class FanoutStatistics:
    """Of fanout-stats=, of one destination: filters/fanout/counters.cpp. In bytes."""

    name: str
    sent: int = 0  # written and zeroed, also to catch up
    owed: int = 0
    in_sync: bool = False

    @classmethod
    def read(cls, path: str) -> "list[FanoutStatistics]":
        """In the order of the destinations. [] if there is no such file yet."""
        found: dict[str, dict[str, int]] = {}
        for metric, label, value in _samples(path):
            found.setdefault(label, {})[metric.removeprefix("nbdkit_fanout_")] = value
        return [cls(name, sum(of.get(key, 0) for key in _SENT), of.get("owed_bytes", 0), bool(of.get("in_sync")))
                for name, of in found.items() if "owed_bytes" in of]


@dataclass(frozen=True)
class PullStatistics:
    """Of pull-stats=: filters/pull/counters.cpp."""

    owed: int  # bytes

    @classmethod
    def read(cls, path: str) -> "PullStatistics | None":
        """None if there is no such file yet."""
        found = {name: value for name, _, value in _samples(path)}
        return cls(found["nbdkit_pull_owed_bytes"]) if "nbdkit_pull_owed_bytes" in found else None


def coalesce_read(path: str) -> int:
    """Of coalesce-stats=: bytes that were read from the plugin, for all disks. 0 if there is no such file."""
    return sum(value for name, _, value in _samples(path) if name == "nbdkit_coalesce_plugin_bytes_total")


_SENT = ("bytes_total", "zero_bytes_total")
_SAMPLE = re.compile(r'(nbdkit_\w+)(?:\{\w+="((?:[^"\\]|\\.)*)"\})? (\d+)')


def _samples(path: str) -> Iterator[tuple[str, str, int]]:
    """Metric, value of the only label, value. A file that is not there has none."""
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            match = _SAMPLE.fullmatch(line.rstrip("\n"))
            if match:
                yield match[1], _unquoted(match[2] or ""), int(match[3])


def _unquoted(label: str) -> str:
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], label)
