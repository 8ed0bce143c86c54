# SPDX-License-Identifier: BSD-3-Clause
"""Instants of a run at which something happens: by what the run has done, or by time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """What a run has done so far."""
    seconds: float
    copied: int          # bytes read from the source's disk
    asked: bool          # the source has asked for a snapshot
    taken: bool          # the snapshot exists, or did
    removing: bool       # the source has asked for its removal
    state_written: bool  # the state file has been replaced
    roles: frozenset     # source, destination, nbdcopy: those that have been started
    ended: frozenset     # those of them that have ended


EVENTS = {
    "the source is started": lambda seen: "source" in seen.roles,
    "a snapshot is asked for": lambda seen: seen.asked,
    "the snapshot exists": lambda seen: seen.taken,
    "the destination is started": lambda seen: "destination" in seen.roles,
    "nbdcopy is started": lambda seen: "nbdcopy" in seen.roles,
    "nbdcopy has ended": lambda seen: "nbdcopy" in seen.ended,
    "the state is written": lambda seen: seen.state_written,
    "the destination has ended": lambda seen: "destination" in seen.ended,
    "the snapshot is being removed": lambda seen: seen.removing,
}
LATE = list(EVENTS)[-4:]  # when promises are made


class Moment:
    """text: for people. reached(seen)."""

    def __init__(self, text, reached, since=0.0):
        self.text, self._reached, self._since, self._first = text, reached, since, None

    def reached(self, seen):
        """From so many seconds after the first time that it is true."""
        if self._first is None and self._reached(seen):
            self._first = seen.seconds
        return self._first is not None and seen.seconds >= self._first + self._since


def by_amount(rng, expected):
    """After a random amount of what will be copied."""
    amount = int(expected * rng.random())
    return Moment(f"after {amount} bytes", lambda seen: seen.taken and seen.copied >= amount)


def at_event(rng, names):
    """At one of them, or a little later."""
    name, delay = rng.choice(names), rng.choice((0, 0.03, 0.1)) * rng.random()
    return Moment(f"{delay:.3f} s after {name}", EVENTS[name], delay)


def draw(rng, expected):
    """expected: bytes that the run will copy."""
    how = rng.random()
    if how < 0.5:
        return by_amount(rng, expected)
    if how < 0.9:
        return at_event(rng, list(EVENTS))
    delay = rng.random() * 1.2
    return Moment(f"after {delay:.3f} s", lambda seen: True, delay)


def draw_late(rng, expected):
    """More often than not when most has been done."""
    return at_event(rng, LATE) if rng.random() < 0.6 else draw(rng, expected)
