# SPDX-License-Identifier: BSD-3-Clause
"""Values of a plan that are written as a text: durations, rates, times of the day."""
import datetime
import re
from collections.abc import Sequence

from .document import Table
from .plan import Window

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def duration(table: Table, key: str, default: datetime.timedelta) -> datetime.timedelta:
    """90s, 30m, 26h, 2d, or several of these: 1h30m."""
    text = table.text(key)
    return default if text is None else parse_duration(table, key, text)


def parse_duration(table: Table, key: str, text: str) -> datetime.timedelta:
    result = duration_of(text)
    if result is None:
        raise table.wrong(key, f'"{text}" is not a duration such as 90s, 30m, 26h or 2d')
    return result


def duration_of(text: str) -> datetime.timedelta | None:
    """None: it is none."""
    if not re.fullmatch(r"(\d{1,6}[smhdw]\s*)+", text):
        return None
    return datetime.timedelta(seconds=sum(int(n) * _SECONDS[unit] for n, unit in re.findall(r"(\d+)([smhdw])", text)))


def choice(table: Table, key: str, words: Sequence[str]) -> str:
    """One of the words; the first one if there is no such key."""
    text = table.text(key)
    if text is not None and text not in words:
        raise table.wrong(key, f'"{text}" is not one of {", ".join(words)}')
    return words[0] if text is None else text


def rate(table: Table, key: str) -> str | None:
    """Bytes a second, such as 20M."""
    text = table.text(key)
    if text is not None and not re.fullmatch(r"[1-9]\d{0,11}[KMG]?", text):
        raise table.wrong(key, f'"{text}" is not a rate in bytes a second, such as 500K or 20M')
    return text


def bytes_of(text: str) -> int:
    """Of a rate."""
    return int(text.rstrip("KMG")) * _FACTORS[text.lstrip("0123456789")]


def window(table: Table, key: str) -> Window | None:
    """22:00-06:00."""
    text = table.text(key)
    if text is None:
        return None
    match = re.fullmatch(r"(\d\d:\d\d)\s*-\s*(\d\d:\d\d)", text)
    try:
        begin, end = (datetime.time.fromisoformat(part) for part in match.groups()) if match else (None, None)
    except ValueError:
        begin = end = None
    if begin is None or end is None:
        raise table.wrong(key, f'"{text}" is not a time window such as 22:00-06:00')
    if begin == end:
        raise table.wrong(key, "the window is empty: it begins when it ends")
    return Window(begin, end)
