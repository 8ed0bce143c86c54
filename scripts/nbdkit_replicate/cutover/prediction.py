# SPDX-License-Identifier: BSD-3-Clause
"""How long a round would take, and the downtime with the last one, from the rounds so far.

A round costs something by itself (the login, the snapshot, the servers, and what is verified and saved after the copy),
and copies so many bytes a second. The rate is that of the fastest round: what a slower one took besides counts as its
cost, so that the prediction is right for rounds of about the size of the last ones, and too long rather than too short
for smaller ones.

Where nothing tells what has changed each round copies whole disks, and the next one takes as long as the last ones."""
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .journal import Round

LEAST = 1 << 20  # bytes of a round that tells the rate
RECENT = 3  # rounds that tell what a round costs
UNTRIED = 0.3  # by which part the second prediction is taken for too short, whatever came of the first


@dataclass(frozen=True)
class Prediction:
    seconds: float
    changed: float  # bytes that would be copied
    shutdown: float  # of the seconds, those in which the guest shuts down
    overhead: float  # those that a round costs by itself
    worst: float  # by which part earlier predictions were too short, at most
    tried: bool = True  # `worst` is what came of them, and not UNTRIED

    @property
    def upper(self) -> float:
        """It is not longer if this prediction is no worse than the worst one. The guest shuts down in no round."""
        return self.shutdown + (self.seconds - self.shutdown) * (1 + self.worst)


def rate(rounds: Sequence[Round]) -> float | None:
    """Bytes a second; None: no round has copied enough to tell it."""
    return max((one.data / one.copying for one in rounds if one.data >= LEAST and one.copying > 0), default=None)


def overhead(rounds: Sequence[Round]) -> float:
    """Seconds that a round costs by itself. What the first whole disks cost is no measure: they are not read back."""
    found = rate(rounds)
    known = [one for one in rounds if not one.full] if not copies_all(rounds) else row_of(rounds)[1:]
    return statistics.median(max(0.0, one.seconds - (one.data / found if found else 0.0)) for one in known[-RECENT:] or rounds)


def row_of(rounds: Sequence[Round]) -> list[Round]:
    """The last ones that can be compared: begun one right after the other, all of them of whole disks, or none."""
    row = list(rounds[-1:])
    for earlier in reversed(rounds[:-1]):
        if row[0].waited or earlier.full != row[0].full:
            break
        row.insert(0, earlier)
    return row


def copies_all(rounds: Sequence[Round]) -> bool:
    """Each round copies whole disks, and not the first one alone."""
    return len(rounds) > 1 and rounds[-1].full and rounds[-2].full


def writing(rounds: Sequence[Round]) -> float | None:
    """Bytes a second that the machine changes, in the last interval; None: not known."""
    if not rounds or rounds[-1].full or len(rounds) < 2:
        return None
    return rounds[-1].changed / max(1e-3, rounds[-1].instant - rounds[-2].instant)


def worst_error(rounds: Sequence[Round]) -> tuple[float, bool]:
    """Prediction.worst and Prediction.tried."""
    errors = [one.error for one in rounds[-RECENT:] if one.error is not None]
    worst = max((max(0.0, error) for error in errors), default=0.0)
    return (UNTRIED, False) if len(errors) == 1 and worst < UNTRIED else (worst, True)


def predict(rounds: Sequence[Round], moment: float, shutdown: float = 0.0) -> Prediction | None:
    """Of a round that begins then, with the machine shut down before it, which takes so long. None: it is not known yet how
    much the machine writes."""
    written, speed = writing(rounds), rate(rounds)
    if copies_all(rounds):
        changed = float(rounds[-1].data)
    elif written is not None:
        changed = min(written * max(0.0, moment + shutdown - rounds[-1].instant), rounds[-1].size or math.inf)
    else:
        return None
    cost, copying = overhead(rounds), changed / speed if speed else 0.0
    return Prediction(shutdown + cost + copying, changed, shutdown, cost, *worst_error(rounds))


def predict_start(rounds: Sequence[Round], shutdown: float) -> Prediction | None:
    """Of the time until the images are served, which is all of the downtime with --pull. Their servers take about as long to
    start as the source."""
    if not rounds:
        return None
    start = statistics.median(2 * one.start + one.saving for one in rounds[-RECENT:])
    return Prediction(shutdown + start, 0.0, shutdown, start, *worst_error(rounds))
