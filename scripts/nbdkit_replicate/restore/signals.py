# SPDX-License-Identifier: BSD-3-Clause
"""SIGINT, SIGTERM, and SIGHUP unless it is ignored, end what is being done, in order."""
import asyncio
import contextlib
import signal
from collections.abc import Iterator

from ..messages import Failure
from ..run.interruption import ending_signals


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """A block of the current task, which a signal cancels: it raises Failure then."""
    loop, task, numbers = asyncio.get_running_loop(), asyncio.current_task(), ending_signals()
    assert task is not None
    received: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        if not received:
            received.append(number)
            task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, end, number)
    try:
        yield
    except asyncio.CancelledError:
        if not received:
            raise
        task.uncancel()
        raise Failure(f"interrupted by {received[0].name}") from None
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
