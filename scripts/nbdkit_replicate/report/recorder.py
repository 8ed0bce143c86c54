# SPDX-License-Identifier: BSD-3-Clause
"""Writes the record of a run when it begins and when it has ended."""
import contextlib
import os

from ..messages import warn
from .events import Event, RunBegun, RunEnded
from .records import RunRecord, new_record, run_under_way, write_record


class Recorder:
    """A listener for the events of one run. A record that cannot be written is a warning: the run goes on."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = ""
        self._under_way = contextlib.ExitStack()

    def __call__(self, event: Event) -> None:
        if isinstance(event, (RunBegun, RunEnded)):
            try:
                self._write(event.record)
            except OSError as e:
                warn(f"the record of this run cannot be written: {e.filename}: {e.strerror}")
        if isinstance(event, RunEnded):
            self._under_way.close()

    def _write(self, record: RunRecord) -> None:
        if not self._path:
            if not os.path.isdir(self._directory):
                os.mkdir(self._directory, 0o700)  # what is above it is not for this to make
            self._under_way.enter_context(run_under_way(self._directory))
            self._path = new_record(self._directory, record.time)
        write_record(self._path, record)
