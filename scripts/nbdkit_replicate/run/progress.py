# SPDX-License-Identifier: BSD-3-Clause
"""One line on the terminal with the progress of several copies."""
import asyncio
import os
import sys


class Progress:
    """Each nbdcopy writes lines of N/100 into a pipe of its own."""

    def __init__(self) -> None:
        self._pipes: dict[str, int] = {}  # disk -> the end that is read; until the nbdcopy has closed its own
        self._percent: dict[str, str] = {}
        self._shown = ""

    def open(self, disk: str) -> int:
        """Returns the end for an nbdcopy to write to. The caller closes it once nbdcopy has inherited it."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        self._pipes[disk] = reading
        self._percent[disk] = "0"
        asyncio.get_running_loop().add_reader(reading, self._read, disk)
        self._show()
        return writing

    def end(self) -> None:
        """All nbdcopys have ended: shows what they have written last, and ends the line."""
        for disk in list(self._pipes):
            while self._read(disk):
                pass
        if self._shown:
            print(file=sys.stderr)

    def _read(self, disk: str) -> bool:
        """Returns False once all has been read."""
        pipe = self._pipes[disk]
        try:
            lines = os.read(pipe, 65536).decode().splitlines()
        except BlockingIOError:
            return False
        if not lines:
            asyncio.get_running_loop().remove_reader(pipe)
            os.close(self._pipes.pop(disk))
            return False
        self._percent[disk] = lines[-1].partition("/")[0]
        self._show()
        return True

    def _show(self) -> None:
        line = "  ".join(f"{disk}: {percent}%" for disk, percent in self._percent.items())
        if line != self._shown:
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
            self._shown = line
