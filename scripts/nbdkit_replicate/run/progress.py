# SPDX-License-Identifier: BSD-3-Clause
"""One line for the progress of several copies, made of what nbdcopy --progress=FD tells of each."""
import contextlib
import os
import sys


class Progress:
    def __init__(self):
        self.pipes = {}  # disk -> where its nbdcopy writes "45/100" lines
        self.percent = {}
        self.shown = ""

    def pipe_for(self, disk):
        """For one nbdcopy, which inherits it; to be closed here when that has been started."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        self.pipes[disk] = reading
        self.percent[disk] = "0"
        return writing

    def update(self):
        for disk, pipe in self.pipes.items():
            with contextlib.suppress(BlockingIOError):
                lines = os.read(pipe, 65536).decode().splitlines()
                if lines:
                    self.percent[disk] = lines[-1].partition("/")[0]
        line = "  ".join(f"{disk}: {percent}%" for disk, percent in self.percent.items())
        if line != self.shown:
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
            self.shown = line

    def end(self):
        if self.shown:
            print(file=sys.stderr)
        for pipe in self.pipes.values():
            os.close(pipe)
        self.pipes.clear()
