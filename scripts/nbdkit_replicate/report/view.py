# SPDX-License-Identifier: BSD-3-Clause
"""The views of a run, one for a process: on a terminal, as plain lines, as JSON, and none."""
import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from ..messages import Level, Message, Subject, messages_to, print_message, say
from . import text
from .board import Board, MachineState
from .events import DiskEnded, Event, RunBegun, RunEnded, Stage

LINES = 30.0  # seconds between two lines about one disk, where there is no terminal


@dataclass(frozen=True)
class Style:
    """What the user wants to see."""

    quiet: bool = False  # only warnings and errors
    json: bool = False  # on standard output
    lines: float | None = None  # plain lines in any case, so many seconds apart
    several: bool = False  # machines: each is named
    verbose: bool = False  # servers write to standard error themselves


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--progress", nargs="?", type=_seconds, const=5.0, metavar="SECONDS",
                        help="print a line about each disk after so many seconds (default: 5), also on a terminal")
    parser.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors only")
    parser.add_argument("--json", action="store_true", help="print what happens to standard output, one JSON object a line")


def style_of(given: argparse.Namespace, several: bool = False) -> Style:
    return Style(given.quiet, given.json, given.progress, several, given.verbose)


def _seconds(word: str) -> float:
    seconds = float(word)
    if not 0 < seconds < 1e9:
        raise ValueError
    return seconds


@contextlib.contextmanager
def view_of(style: Style) -> "Iterator[View]":
    """The listener for the runs of the block, whose messages go through it."""
    view = _make(style)
    with messages_to(view.print), view.shown():
        yield view


def _make(style: Style) -> "View":
    if style.json:
        from .json_lines import JsonView
        return JsonView(style)
    if style.quiet:
        return View(style)
    plain = style.lines is not None or style.verbose or not _is_terminal()
    if not plain:
        with contextlib.suppress(ImportError):  # of rich: lines tell the same
            from .terminal import TerminalView
            return TerminalView(style)
    return PlainView(style)


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class View:
    """Shows messages alone. Those that are no warning or error only unless --quiet is given."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self.board = Board()

    def __call__(self, event: Event) -> None:
        self.board.receive(event)

    def print(self, message: Message) -> None:
        if not self.style.quiet or message.level != Level.INFO:
            print_message(message)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        yield

    def subject(self, event: Event) -> Subject:
        return Subject(event.vm, event.disk or "", self.style.several)

    def say_what_ended(self, event: Event) -> None:
        """What a disk, and then a machine, comes to."""
        if isinstance(event, DiskEnded) and event.record.size:
            say(text.summary(event.record), of=self.subject(event))
        elif isinstance(event, RunEnded) and len(event.record.disks) > 1:
            say(text.totals(event.record), of=self.subject(event))


class PlainView(View):
    """A line about each disk, and about a machine that does something else, now and then."""

    def __init__(self, style: Style) -> None:
        super().__init__(style)
        self._interval = style.lines or LINES
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        self.say_what_ended(event)
        if isinstance(event, RunBegun) and self._timer is None:
            self._wait()
        elif self._timer is not None and not self.board.machines:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(min(1.0, self._interval / 4), self._tick)

    def _tick(self) -> None:
        for machine in list(self.board.machines.values()):
            self.say_due(machine, asyncio.get_running_loop().time())
        self._wait()

    def say_due(self, machine: MachineState, now: float) -> None:
        """now: by time.monotonic()."""
        if not machine.disks and now - machine.since >= self._interval:
            machine.since = now
            say(text.DOING[machine.stage], of=Subject(machine.vm, "", self.style.several))
        for disk in machine.disks.values():
            if disk.stage == Stage.WAITING or now - disk.since < self._interval:
                continue
            disk.since = now
            copied = disk.progress is not None and disk.stage in (Stage.COPYING, Stage.COMPLETING)
            line = text.of(disk.progress) if copied and disk.progress else text.DOING[disk.stage]
            say(line, of=Subject(disk.vm, disk.disk, self.style.several))
