# SPDX-License-Identifier: BSD-3-Clause
"""The time window of a plan."""
import datetime
from collections.abc import Callable
from dataclasses import dataclass

from ..messages import TooLate
from ..plan.plan import Window


def now() -> datetime.datetime:
    """Local time."""
    return datetime.datetime.now()


@dataclass(frozen=True)
class Beginning:
    """Whether a machine or a disk may be begun. window: None: always."""

    window: Window | None
    clock: Callable[[], datetime.datetime] = now

    def check(self) -> None:
        """Raises TooLate."""
        if self.window is not None and not is_within(self.window, self.clock().time()):
            window = f"{self.window.begin:%H:%M}-{self.window.end:%H:%M}"
            raise TooLate(f"not begun: it is {self.clock():%H:%M}, and the window of the plan is {window}")


def is_within(window: Window, time: datetime.time) -> bool:
    if window.begin < window.end:
        return window.begin <= time < window.end
    return time >= window.begin or time < window.end
