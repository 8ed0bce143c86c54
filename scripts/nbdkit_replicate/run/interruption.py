# SPDX-License-Identifier: BSD-3-Clause
"""SIGINT, SIGTERM and SIGHUP; the last one not if it was ignored at the start.

The first one ends what is being waited for within scopes, and with it the copying; what follows a scope, the end
of the servers in their order, is not cut short. A second one kills what is expendable, so that its end is not
waited for. A source that may have a snapshot is never killed, as it must remove it.
"""
import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import Any, Protocol

from ..messages import RUN_AGAIN, Failure, say


def ending_signals() -> list[signal.Signals]:
    """Not SIGHUP if it is ignored, as with nohup: then the command outlives its terminal."""
    hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    return [signal.SIGINT, signal.SIGTERM, *hangup]


class Killable(Protocol):
    def kill(self) -> None: ...


class Source(Killable, Protocol):
    end_limit: float | None  # None: it has deadlines of its own, and perhaps a snapshot


class Interrupted(Failure):
    """By a signal."""


class Interruption:
    def __init__(self, effect: str = "the run ends; what is owed is saved, and the snapshot is removed") -> None:
        """effect: what the first signal leads to, for the message."""
        self._effect = effect
        self._signals = 0  # that have arrived
        self._why: Failure | None = None  # what is raised instead of what is said of a signal
        self._tasks: set[asyncio.Task[Any]] = set()  # which are in a scope
        self._expendable: set[Killable] = set()

    @contextlib.contextmanager
    def handle_signals(self) -> Iterator[None]:
        """A block in which signals have the effects above. They have none after it: the result of the run stands, and
        is still to become the exit status."""
        loop, numbers = asyncio.get_running_loop(), ending_signals()
        for number in numbers:
            loop.add_signal_handler(number, self._handle, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """A block that the first signal ends, or that it does not enter after one. It raises Failure then."""
        if self.ended:
            raise self._failure()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self.ended:
                raise
            task.uncancel()
            raise self._failure() from None
        finally:
            self._tasks.discard(task)

    @property
    def ended(self) -> bool:
        return self._signals > 0 or self._why is not None

    @property
    def why(self) -> Failure | None:
        """What end() was called with."""
        return self._why

    def end(self, why: Failure) -> None:
        """As the first signal, for another reason."""
        if not self.ended:
            self._why = why
            self._cancel()

    @contextlib.contextmanager
    def expendable(self, process: Killable) -> Iterator[None]:
        """A block in which a second signal kills the process."""
        if self._signals > 1:
            process.kill()
        self._expendable.add(process)
        try:
            yield
        finally:
            self._expendable.discard(process)

    def expendable_source(self, source: Source) -> contextlib.AbstractContextManager[None]:
        """The same, unless it may have a snapshot."""
        return contextlib.nullcontext() if source.end_limit is None else self.expendable(source)

    def _handle(self, number: signal.Signals) -> None:
        self._signals += 1
        if self._signals == 1:
            self._cancel()
            say(f"{number.name}: {self._effect}; a second signal ends the destination without waiting for it")
        else:
            for process in self._expendable:
                process.kill()

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _failure(self) -> Failure:
        return self._why or Interrupted(f"interrupted; {RUN_AGAIN}")
