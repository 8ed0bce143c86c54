# SPDX-License-Identifier: BSD-3-Clause
"""What a program writes to standard error: which of it is shown, and when."""
import asyncio
import contextlib
import os
import re
import time
from collections.abc import Iterator

from ..contract import reason_for_giving_up, reason_for_owing
from ..messages import Level, print_line, say, subject

# Seconds for which an error is held back before it is shown: what fails because of it can name it as the cause in a
# message of its own, which is then the last one, and it is said once.
HOLD = 1.0

REPEAT = 60.0  # seconds in which errors that differ only in numbers are one
RECENT = 30.0  # seconds for which an error is taken for the cause of what fails

_NBDKIT = re.compile(r"nbdkit: (?:\S+: )?(error|debug): (.*)")

# What nbdkit says of a client that has gone in the middle of a request, or of the handshake. Why it has gone is said by others.
_CLIENT_GONE = re.compile(r"(read|write) [a-z ]+: NBD_CMD_\w+: .*|read request: .*|"
                          r"write: (sending newstyle handshake|NBD_(OPT|INFO|REP)_\w+): .*")

# What nbdkit and our modules say if it is told to end while a thread pauses, or waits for somebody. It is no error.
_TOLD_TO_END = re.compile(r"aborting sleep because of .*|(.*: )?(nbdkit|the server) is ending\b.*")

# What a program reports and goes on after: warnings, and fanout-on-error=detach of nbdkit-fanout-filter(1).
_GOES_ON = re.compile(r"warning: |.*: detached, the other destinations continue")


class Errors:
    """Errors are shown with the name of the program. Debug messages of nbdkit -v are shown as they are."""

    def __init__(self, name: str, shown: bool = True) -> None:
        """name: of the program, for messages. shown: False: an error is shown only by who asks for a cause."""
        self._name = name
        self._subject = subject()  # of the block in which the program was started
        self._shown = shown
        self._part = b""  # of a line
        self._held: list[tuple[float, str]] = []  # not shown yet, and when each has arrived
        self._latest: tuple[float, str] | None = None  # that has been shown, or named as a cause
        self._times: dict[str, float] = {}  # when an error has arrived last, by what it is without numbers
        self.reasons: list[str] = []  # why destinations are owed something, for who says that
        self._given_up: str | None = None  # why pull has given up: the cause, whatever is reported because of it
        self._reading = -1  # the end of a pipe; the other one is the program's standard error

    @contextlib.contextmanager
    def passed(self) -> Iterator[int]:
        """A file descriptor for standard error, open within the block, in which the program is to be started."""
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        asyncio.get_running_loop().add_reader(self._reading, self._read)
        try:
            yield writing
        except BaseException:
            self._close()
            raise
        finally:
            os.close(writing)

    def cause(self) -> str:
        """An error that the program has reported of late; "" if none. What else it has reported is shown. What the
        program has gone on after is named only if there is nothing else."""
        self._read()
        if self._given_up is not None:
            self._show(everything=True)
            self._latest, self._given_up = (time.monotonic(), self._given_up), None
            return self._latest[1]
        recent = self._latest is not None and time.monotonic() - self._latest[0] < RECENT
        fatal = (i for i, (_, text) in enumerate(self._held) if not _GOES_ON.match(text))
        place = next(fatal, 0 if self._held and not recent else None)
        if place is not None:
            cause = self._held.pop(place)
            self._show(everything=True)
            self._latest = cause
            return cause[1]
        self._show(everything=True)
        if recent and self._latest is not None:
            return self._latest[1]
        return next((reason for reason in reversed(self.reasons) if ": " in reason), "")

    def close(self) -> None:
        """The program has ended. Shows all that it has written."""
        self._read()
        self._line(self._part)
        self._part = b""
        if self._given_up is not None:  # nobody has asked
            self._error(self._given_up)
        self._show(everything=True)
        if self._reading >= 0:
            self._close()

    def _read(self) -> None:
        while self._reading >= 0:
            try:
                data = os.read(self._reading, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self._close()
                return
            *lines, self._part = (self._part + data).split(b"\n")
            for line in lines:
                self._line(line)

    def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reading)
        os.close(self._reading)
        self._reading = -1

    def _line(self, line: bytes) -> None:
        text = line.decode(errors="backslashreplace").rstrip()
        match = _NBDKIT.fullmatch(text)
        if match and match[1] == "debug":
            print_line(text)
        elif match and (reason := reason_for_owing(match[2])) is not None:
            self.reasons.append(reason)
        elif match and (reason := reason_for_giving_up(match[2])) is not None:
            self._given_up = reason
        elif text and not (match and (_CLIENT_GONE.fullmatch(match[2]) or _TOLD_TO_END.fullmatch(match[2]))):
            self._error(match[2] if match else text)

    def _error(self, text: str) -> None:
        now = time.monotonic()
        kind = re.sub(r"\d+", "N", text)
        known = now - self._times.get(kind, -REPEAT) < REPEAT
        self._times[kind] = now
        if not known:
            self._held.append((now, text))
            asyncio.get_running_loop().call_later(HOLD, self._show)
        elif not _GOES_ON.match(text):
            self._latest = (now, text)

    def _show(self, everything: bool = False) -> None:
        until = time.monotonic() - HOLD
        while self._shown and self._held and (everything or self._held[0][0] <= until):
            error = self._held.pop(0)
            if self._latest is None or not _GOES_ON.match(error[1]):
                self._latest = error
            level = Level.WARNING if _GOES_ON.match(error[1]) else Level.ERROR
            say(f"{self._name}: {error[1]}", level, self._subject)
