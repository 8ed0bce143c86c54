# SPDX-License-Identifier: BSD-3-Clause
"""A small plot, as SVG within HTML: how many bytes had to be copied in each night."""
import datetime
import html
from collections.abc import Sequence

from . import text
from .records import DONE, RunRecord

NIGHTS = 30
_WIDTH, _HEIGHT, _STEP = 360, 78, 12
_FLOOR, _CEILING = 58, 12  # of the bars, from the top


def nights(records: Sequence[RunRecord], now: float) -> str:
    """The bars of the last NIGHTS days; below them a mark where a run was not done."""
    today = datetime.datetime.fromtimestamp(now).date()
    counts, bad = [0] * NIGHTS, [False] * NIGHTS
    for record in records:
        place = NIGHTS - 1 - (today - datetime.datetime.fromtimestamp(record.started).date()).days
        if 0 <= place < NIGHTS:
            counts[place] += sum(disk.changed for disk in record.disks)
            bad[place] |= record.ended is not None and record.result != DONE
    most = max(counts)
    parts = [_bar(place, count, most, today, bad[place]) for place, count in enumerate(counts)]
    first = (today - datetime.timedelta(days=NIGHTS - 1)).strftime("%d %b")
    last = today.strftime("%d %b")
    return (f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Bytes to copy, by day">'
            f'<text x="0" y="9">{text.size(most)}</text><line x1="0" y1="{_FLOOR}" x2="{_WIDTH}" y2="{_FLOOR}"/>'
            f'{"".join(parts)}<text x="0" y="{_HEIGHT - 2}">{html.escape(first)}</text>'
            f'<text x="{_WIDTH}" y="{_HEIGHT - 2}" text-anchor="end">{html.escape(last)}</text></svg>')


def _bar(place: int, count: int, most: int, today: datetime.date, bad: bool) -> str:
    day = (today - datetime.timedelta(days=NIGHTS - 1 - place)).strftime("%d %b")
    height = max(1.5, (_FLOOR - _CEILING) * count / most) if count else 0
    x = place * _STEP + 1.5
    kind = ' class="bad"' if bad else ""
    bar = f'<rect{kind} x="{x}" y="{_FLOOR - height:.1f}" width="{_STEP - 3}" height="{height:.1f}" rx="1"/>' if count else ""
    mark = f'<circle class="bad" cx="{x + (_STEP - 3) / 2}" cy="{_FLOOR + 4}" r="2"/>' if bad else ""
    title = f"<title>{html.escape(day)}: {text.size(count)}{', not all done' if bad else ''}</title>"
    return f"<g>{title}{bar}{mark}</g>" if bar or mark else ""
