# SPDX-License-Identifier: BSD-3-Clause
"""Whether the rounds get short enough for the downtime, and what is said of that."""
import math
from collections.abc import Sequence

from ..report import text
from .journal import Round
from .prediction import Prediction, overhead, rate, row_of, writing

ROUNDS = 3  # that do not shrink
STUCK = 5  # that may shrink and grow again, but not below one before them
SHRUNK = 0.95  # of the round before


def fits(prediction: Prediction | None, downtime: float) -> bool:
    return prediction is not None and prediction.upper <= downtime


def shrinks_no_more(rounds: Sequence[Round], count: int = ROUNDS) -> bool:
    """None of the last rounds was smaller than the one before it, or more of them were not smaller than one before them. They
    have been begun one right after the other."""
    row = row_of(rounds)
    last = row[-count:]
    if len(last) == count and all(later.changed >= SHRUNK * earlier.changed for earlier, later in zip(last, last[1:])):
        return True
    least = min((one.changed for one in row[:-STUCK]), default=None)
    return least is not None and all(one.changed >= SHRUNK * least for one in row[-STUCK:])


def of_round(number: int, one: Round) -> str:
    """round 3: 12.0 MiB in 4.1 s (3.8 s were predicted, +8 %)"""
    told = f" ({text.duration(one.predicted)} were predicted, {_percent(one.error)})" if one.predicted is not None else ""
    what = "the whole disks, " if one.full else ""
    return f"round {number}: {what}{text.size(one.changed)} in {text.duration(one.seconds)}{told}"


def of_prediction(prediction: Prediction, rounds: Sequence[Round], pulled: bool = False) -> str:
    """the downtime would be 5.1 s: 2.0 s to shut down, 1.9 s that a round costs, 12.0 MiB at 10.0 MiB/s; predictions were at
    most 4 % too short: it is at most 5.3 s"""
    speed = rate(rounds)
    known = f"{text.duration(prediction.shutdown)} to shut down"
    shutdown = known if prediction.shutdown else "the time to shut down, which is not known"
    if pulled:
        parts = [shutdown, f"{text.duration(prediction.overhead)} until the images are served"]
    else:
        parts = [shutdown, f"{text.duration(prediction.overhead)} that a round costs",
                 text.size(prediction.changed) + (f" at {text.rate(speed)}" if speed else "")]
    line = f"the downtime would be {text.duration(prediction.seconds)}: {', '.join(parts)}"
    if prediction.worst:
        why = f"predictions were up to {prediction.worst:.0%} too short" if prediction.tried else (
            f"one prediction is no proof, so {prediction.worst:.0%} more are counted")
        line += f"; {why}: it is at most {text.duration(prediction.upper)}"
    return line


def does_not_converge(rounds: Sequence[Round], prediction: Prediction | None, downtime: float, helps: Sequence[str]) -> str:
    """For people. helps: what would, besides a longer downtime."""
    last = row_of(rounds)[-STUCK:]
    written, speed = writing(rounds), rate(rounds)
    sizes = ", ".join(text.size(one.changed) for one in last)
    lines = [f"the rounds do not get shorter: the last {len(last)} copied {sizes}, the last one in "
             f"{text.duration(last[-1].seconds)}; " +
             (f"the machine changes {text.size(60 * written)} in a minute" if written is not None else
              "whole disks are copied each time, as nothing tells what has changed on them")]
    lines[0] += f", {text.size(60 * speed)} can be copied in a minute" if speed else ""
    lines[0] += f", and a round costs {text.duration(overhead(rounds))} by itself"
    if prediction is not None:
        lines.append(f"a downtime of {text.duration(rounded_up(prediction.upper))} would do, {text.duration(downtime)} were "
                     "agreed on")
    lines.append(f"what would help: {'; '.join(helps)}")
    lines.append("nothing has been shut down")
    return "; ".join(lines)


def what_helps(pull: bool, source_rate: str | None, at_once: int, disks: int) -> list[str]:
    """pull: it can be, and is not used yet. source_rate: the limit of the plan."""
    helps = ["a longer --downtime", "a time at which the machine writes less (--at)",
             "to stop what writes in the guest (by --shutdown COMMAND, which may do that first)"]
    if pull:
        helps.append("--pull, with which the last increment is not waited for")
    if source_rate:
        helps.append(f"a higher source-rate than {source_rate} in limits of the plan")
    if disks > at_once:
        helps.append(f"more disks at once than {at_once} (limits.disks of the plan)")
    return helps


def rounded_up(seconds: float) -> float:
    """To a figure that somebody would agree on."""
    step = 1 if seconds < 10 else 5 if seconds < 60 else 30 if seconds < 600 else 60
    return math.ceil(seconds / step) * step


def _percent(error: float | None) -> str:
    return f"{error:+.0%}" if error is not None else "?"
