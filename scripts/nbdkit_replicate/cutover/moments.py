# SPDX-License-Identifier: BSD-3-Clause
"""The time that is given by --at."""
import datetime
import re

from ..messages import WrongUse


KEPT = 3600.0  # seconds for which a time of the day that has passed is still that one, and not the next day's
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)")


def moment_of(text: str, now: datetime.datetime) -> float:
    """HH:MM, the next time that it is so late, or a date and time as in ISO 8601; local time unless it has a zone. Returns
    seconds since 1970. now: local time, with its zone."""
    clock = _CLOCK.fullmatch(text)
    try:
        if clock:
            # Without a zone: tomorrow may have another offset than today.
            today = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0, tzinfo=None)
            result = today.astimezone().timestamp()
            return result if result > now.timestamp() else (today + datetime.timedelta(days=1)).astimezone().timestamp()
        if len(text) <= len("2026-11-03"):
            raise ValueError
        return datetime.datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        raise WrongUse(f'--at {text}: must be a time such as 23:00, "2026-11-03 23:00" or 2026-11-03T23:00Z') from None


def is_of_the_past(text: str, moment: float, now: datetime.datetime) -> bool:
    """text was this moment, and is another one now."""
    return _CLOCK.fullmatch(text) is not None and now.timestamp() - moment > KEPT


def text_of(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M:%S")
