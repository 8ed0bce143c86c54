# SPDX-License-Identifier: BSD-3-Clause
"""--json: what happens as one object of JSON a line on standard output. Messages are on standard error as well."""
import dataclasses
import json
import os
import sys
import time
from typing import Any

from ..messages import Message, warn
from .board import Board
from .events import (DiskEnded, DiskExamined, DisksFound, Event, Progressed, RunBegun, RunEnded, StageReached, Stalled)
from .view import Style, View


class JsonView(View):
    def __init__(self, style: Style) -> None:
        super().__init__(style)
        self._closed = False  # it cannot be written, or nobody reads any more

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        fields = {"event": _NAMES[type(event)], "vm": event.vm}
        if event.disk is not None:
            fields["disk"] = event.disk
        self._write({**fields, **self._situation(event, self.board), **_fields(event)})

    def print(self, message: Message) -> None:
        super().print(message)
        subject = message.subject
        self._write({"event": "message", "vm": subject.vm, **({"disk": subject.disk} if subject.disk else {}),
                     "level": message.level.value, "text": message.text})

    def _situation(self, event: Event, board: Board) -> dict[str, Any]:
        """stage and status are in every line, so that a reader needs to remember nothing."""
        if isinstance(event, (RunEnded, DiskEnded)):
            return {"stage": "ended", "status": event.record.result}
        machine = board.machines.get(event.vm)
        where = machine.disks.get(event.disk) if machine and event.disk is not None else machine
        return {"stage": where.stage.value if where else "ended", "status": "running"}

    def _write(self, fields: dict[str, Any]) -> None:
        if self._closed:
            return
        try:
            print(json.dumps({"time": round(time.time(), 3), **fields}), flush=True)
        except OSError as e:  # which ends no run
            self._closed = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the exit
            if not isinstance(e, BrokenPipeError):
                warn(f"standard output cannot be written, and gets no more objects of --json: {e.strerror}")


_NAMES = {RunBegun: "begin", DisksFound: "disks", StageReached: "stage", DiskExamined: "examined", Progressed: "progress",
          Stalled: "stall", DiskEnded: "disk", RunEnded: "end"}


def _fields(event: Event) -> dict[str, Any]:
    if isinstance(event, (DiskEnded, RunEnded)):
        record = dataclasses.asdict(event.record)
        return {key: value for key, value in record.items() if key not in ("vm", "disk", "time", "result")}
    if isinstance(event, Progressed):
        progress = dataclasses.asdict(event.progress)
        return {**progress, "percent": round(event.progress.percent, 1)}
    if isinstance(event, RunBegun):
        return {"started": event.record.started, "run": event.record.time}
    own = {f.name for f in dataclasses.fields(event)} - {"vm", "disk", "stage"}
    return {name: getattr(event, name) for name in sorted(own)}
