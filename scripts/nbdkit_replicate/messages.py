# SPDX-License-Identifier: BSD-3-Clause
"""Messages for people, and the exception that carries one.

A message begins with what it is about, in the user's names: the machine, if there are several, and the disk. That is
known from the block about() in which it is said, also in tasks that are started in it. The output is standard error,
or what a view of the run has put in its place.
"""
import contextlib
import enum
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace

from . import PROGRAM

RUN_AGAIN = "run the same command again to continue"


class Failure(Exception):
    """What is being done has failed. The text says why, and what to do if that is known."""


class WrongUse(Failure):
    """The command line cannot be carried out as it is, however often it is run."""


class Refused(Failure):
    """A login. It is not to be tried again as it is, which could lock the account."""


class TooLate(Failure):
    """A time window has ended. Nothing has gone wrong; the next run does what is left."""


class Level(enum.Enum):
    """The values are what --json writes."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"  # what keeps something from being complete


@dataclass(frozen=True)
class Subject:
    """What a message is about."""

    vm: str = ""
    disk: str = ""
    vm_shown: bool = False  # there are several

    @property
    def prefix(self) -> str:
        return (f"{self.vm}: " if self.vm and self.vm_shown else "") + (f"disk {self.disk}: " if self.disk else "")


@dataclass(frozen=True)
class Message:
    subject: Subject
    level: Level
    text: str

    def line(self) -> str:
        warning = "warning: " if self.level == Level.WARNING and "warning: " not in self.text else ""
        return printable(f"{PROGRAM}: {self.subject.prefix}{warning}{self.text}")


def printable(text: str) -> str:
    """Without characters that a terminal obeys, such as one in the name of a disk: they are shown as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


_subject: ContextVar[Subject] = ContextVar("subject", default=Subject())


def subject() -> Subject:
    return _subject.get()


@contextlib.contextmanager
def about(vm: str | None = None, disk: str | None = None, vm_shown: bool | None = None) -> Iterator[None]:
    """A block whose messages are about this, and about what the block around it says besides that."""
    given = {"vm": vm, "disk": disk, "vm_shown": vm_shown}
    token = _subject.set(replace(_subject.get(), **{key: value for key, value in given.items() if value is not None}))
    try:
        yield
    finally:
        _subject.reset(token)


def say(text: str, level: Level = Level.INFO, of: Subject | None = None) -> None:
    """of: what it is about, if not what the block says."""
    _output(Message(of or subject(), level, text))


def warn(text: str) -> None:
    say(text, Level.WARNING)


def print_message(message: Message) -> None:
    print_line(message.line())


def print_line(text: str) -> None:
    """To standard error. What is said is no part of what is done: that it cannot be written, as the terminal is closed or the
    log's disk is full, ends nothing."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


_output: Callable[[Message], None] = print_message


@contextlib.contextmanager
def messages_to(output: Callable[[Message], None]) -> Iterator[None]:
    """A block whose messages go there."""
    global _output
    before, _output = _output, output
    try:
        yield
    finally:
        _output = before


def mib(count: float) -> str:
    return f"{count / (1 << 20):.1f} MiB"
