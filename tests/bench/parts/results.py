# SPDX-License-Identifier: BSD-3-Clause
"""The rows of the tables as a file, of which plots are made: one JSON object a line."""
import dataclasses
import datetime
import json
import os
import subprocess
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    bench: str
    case: str
    against: str
    ours: str  # as the table shows it
    theirs: str
    values: list[float]  # one for each run; the goal is for their median
    goal: str = "-"
    verdict: str = ""
    machine: str = ""
    date: str = ""
    commit: str = ""
    kind: str = "value"  # or "faster": how many times; or "ratio": of times, ours to theirs
    points: list[list[float]] = field(default_factory=list)  # of a curve: what was varied, and the result

    def stamped(self) -> "Row":
        return dataclasses.replace(self, machine=_machine(), commit=_commit(),
                                   date=datetime.date.today().isoformat())


def append(path: str, row: Row) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(dataclasses.asdict(row.stamped())) + "\n")


def read(path: str) -> list[Row]:
    """The latest of each bench, case and peer."""
    rows: dict[tuple[str, str, str], Row] = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = Row(**json.loads(line))
            rows.pop(key := (row.bench, row.case, row.against), None)
            rows[key] = row
    return list(rows.values())


def _machine() -> str:
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{os.cpu_count()} x {model}"


def _commit() -> str:
    here = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown commit"
