# SPDX-License-Identifier: BSD-3-Clause
"""Progress on a terminal: a line for each disk that is copied and for each of its further destinations, below the
messages. It is gone when the run has ended: the summary stays."""
import contextlib
import sys
from collections.abc import Iterator
from typing import IO, Any, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..messages import Message, Subject, printable
from . import text
from .board import DiskState, MachineState
from .events import Event, Stage
from .view import Style, View


class Lenient:
    """A file for rich, whose threads and blocks do not expect that a terminal is closed: what cannot be written is lost."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class TerminalView(View):
    def __init__(self, style: Style, console: Console | None = None) -> None:
        super().__init__(style)
        self._console = console or Console(file=cast(IO[str], Lenient(sys.stderr)), highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=True, refresh_per_second=4, transient=True,
                          redirect_stdout=False, redirect_stderr=False, get_renderable=self.render)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        with self._live:
            yield

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        self.say_what_ended(event)

    def print(self, message: Message) -> None:
        self._console.print(Text(message.line()), soft_wrap=True)

    def render(self) -> RenderableType:
        rows = Table.grid(padding=(0, 1), expand=True)
        rows.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
        rows.add_column(ratio=2, min_width=6)
        for _ in range(4):
            rows.add_column(justify="right", no_wrap=True)
        machines = list(self.board.machines.values())
        others = [self._other(machine) for machine in machines if not machine.disks]
        disks = [disk for machine in machines for disk in list(machine.disks.values())]
        waiting = sum(disk.stage == Stage.WAITING for disk in disks)
        for disk in disks:
            if disk.stage != Stage.WAITING:
                self._add_disk(rows, disk)
        if waiting:
            others.append(Text(f"{waiting} more {'disk waits' if waiting == 1 else 'disks wait'}", no_wrap=True))
        return Group(*([rows] if rows.row_count else []), *others)

    def _other(self, machine: MachineState) -> Text:
        name = text.label(Subject(machine.vm, "", self.style.several))
        prefix = f"{name}: " if name != "disk" else ""
        return Text(printable(f"{prefix}{text.DOING[machine.stage]}"), no_wrap=True, overflow="ellipsis")

    def _add_disk(self, rows: Table, disk: DiskState) -> None:
        name = printable(text.label(Subject(disk.vm, disk.disk, self.style.several)))
        progress = disk.progress
        if progress is None:
            rows.add_row(name, "", "", disk.stage.value, "", "")
            return
        bar = ProgressBar(total=max(progress.total, 1), completed=progress.bytes if progress.total else 1)
        last = text.clock(progress.left) if disk.stage == Stage.COPYING else disk.stage.value
        rows.add_row(name, bar, f"{progress.percent:.0f}%", f"{text.size(progress.bytes)}",
                     text.rate(progress.rate) if disk.stage == Stage.COPYING else "", last)
        for destination in progress.destinations:
            owed = "in step" if destination.in_sync else f"owed {text.size(destination.owed)}"
            rows.add_row(Text("  " + printable(destination.name), style="dim"), Text(owed, style="dim"), "",
                         text.size(destination.sent), text.rate(destination.rate) if destination.rate else "", text.clock(destination.left))
