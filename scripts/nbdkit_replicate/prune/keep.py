# SPDX-License-Identifier: BSD-3-Clause
"""Which restore points of a disk are kept."""
import datetime
from collections.abc import Callable, Hashable, Iterable

from ..plan.plan import Keep

Period = Callable[[datetime.datetime], Hashable]


def kept(moments: Iterable[datetime.datetime], keep: Keep, zone: datetime.tzinfo | None = None) -> set[datetime.datetime]:
    """The newest `last`; and the newest of each of the last `daily` days, `weekly` weeks (from Monday to Sunday) and `monthly`
    months in which there are any. The newest of all is always kept. zone: whose calendar it is; None: local time."""
    newest_first = sorted(set(moments), reverse=True)
    if keep.everything:
        return set(newest_first)
    result = set(newest_first[:max(keep.last, 1)])
    rules: tuple[tuple[int, Period], ...] = (
        (keep.daily, lambda day: day.date()),
        (keep.weekly, lambda day: day.isocalendar()[:2]),
        (keep.monthly, lambda day: (day.year, day.month)))
    for count, period in rules:
        newest: dict[Hashable, datetime.datetime] = {}
        for moment in newest_first:
            newest.setdefault(period(moment.astimezone(zone)), moment)
        result.update(list(newest.values())[:count])
    return result
