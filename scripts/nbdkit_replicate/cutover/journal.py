# SPDX-License-Identifier: BSD-3-Clause
"""The journal of a cutover, STATES/cutover.json. It is written, durably, before what a step says is begun. So whatever has
been interrupted, the same command goes on with the step that is written there:

rounds    the machine runs; nothing has been done to it
shutdown  it may have been asked to shut down, or have been switched off
off       it has been seen off; the last increment may have been begun
handover  the copy is complete and verified; the command that takes it over may have been begun
done      that command has succeeded
aborted   the machine has been started again, if it was running before
"""
import dataclasses
import enum
import json
import os
from dataclasses import dataclass
from typing import Any

from ..files import replace_file
from ..messages import Failure

FORMAT = 1
NAME = "cutover.json"


class Step(enum.Enum):
    ROUNDS = "rounds"
    SHUTDOWN = "shutdown"
    OFF = "off"
    HANDOVER = "handover"
    DONE = "done"
    ABORTED = "aborted"

    @property
    def ended(self) -> bool:
        return self in (Step.DONE, Step.ABORTED)


@dataclass(frozen=True)
class Round:
    """What a round took. Times are in seconds since 1970."""

    time: str  # {time} of its restore points
    began: float
    instant: float  # of which its restore points are
    seconds: float  # all of it but the hooks, which the last round has not
    copying: float  # seconds of them in which data was copied
    changed: int  # bytes that were copied
    full: bool  # whole disks were copied
    predicted: float | None = None  # seconds; None: nothing was known
    waited: bool = False  # it was not begun right after the one before
    data: int = 0  # of `changed`, bytes that were read: not those of holes and zeroes
    start: float = 0.0  # seconds until the source could be read
    saving: float = 0.0  # seconds in which the definition was saved
    size: int = 0  # bytes of the disks; 0: not known
    hooks: float = 0.0  # seconds that the hooks of the plan took

    @property
    def error(self) -> float | None:
        """Of the prediction: 0.1: it took 10 % longer."""
        return self.seconds / self.predicted - 1 if self.predicted else None


@dataclass(frozen=True)
class Journal:
    vm: str
    step: Step = Step.ROUNDS
    downtime: float = 0.0  # seconds that were agreed on
    at_text: str = ""  # as --at gave it; "": none
    at: float | None = None  # before that it is not shut down
    was_on: bool | None = None  # when the cutover began, or later; None: nobody has looked
    rounds: tuple[Round, ...] = ()  # while it was running
    predicted: float | None = None  # seconds of the downtime, when it was decided
    shutdown_known: bool = True  # `predicted` counts the time to shut down
    down: float | None = None  # since when it is down: it was asked to shut down, or was found off
    off: float | None = None  # when it was seen off
    shutdown_seconds: float | None = None  # that shutting down took, now or the last time
    forced: bool = False  # it was switched off
    last: str = ""  # {time} of the last increment's restore points
    ready: float | None = None  # when the copy was complete, and about to be handed over
    ended: float | None = None  # when the command that takes it over had succeeded
    pulled: bool = False  # the images fetch the last increment themselves,
    snapshot: str = ""  # from the snapshot of this name
    images: tuple[tuple[str, str], ...] = ()  # that are handed over: (disk, path)

    def with_step(self, step: Step, **fields: Any) -> "Journal":
        return dataclasses.replace(self, step=step, **fields)

    @property
    def measured(self) -> float | None:
        """Seconds of the downtime: from the request to shut down to the hand-over."""
        return self.ready - self.down if self.ready is not None and self.down is not None else None

    @property
    def is_past_rounds(self) -> bool:
        """Another run must not write restore points."""
        return self.step not in (Step.ROUNDS, Step.ABORTED)


def path_of(states: str) -> str:
    return os.path.join(states, NAME)


def read_journal(states: str) -> Journal | None:
    """None: there has been no cutover. Raises Failure if it cannot be read."""
    path = path_of(states)
    try:
        with open(path, encoding="utf-8") as file:
            return _journal(json.load(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise Failure(f"cannot read {path}: {e}") from e


def write_journal(states: str, journal: Journal) -> None:
    """Atomic and durable."""
    fields = {"nbdkit-replicate-cutover": FORMAT, **dataclasses.asdict(journal), "step": journal.step.value}
    replace_file(path_of(states), json.dumps(fields, indent=1) + "\n")


def check_no_cutover(states: str) -> None:
    """Before a run that is not one of a cutover. Raises Failure if the machine is shut down, or has been handed over."""
    journal = read_journal(states)
    if journal is None or not journal.is_past_rounds:
        return
    what = "the machine has been cut over: take it out of the plan" if journal.step == Step.DONE else (
        "a cutover of the machine has been begun, and shuts it down: finish it by the same command")
    raise Failure(f"{what}, or go back to the source by nbdkit-replicate cutover PLAN {journal.vm} --abort")


def _journal(fields: dict[str, Any]) -> Journal:
    if fields.pop("nbdkit-replicate-cutover") != FORMAT:
        raise ValueError("it is of another version")
    rounds = tuple(Round(**one) for one in fields.pop("rounds"))
    images = tuple((str(disk), str(path)) for disk, path in fields.pop("images"))
    return Journal(**{**fields, "step": Step(fields["step"]), "rounds": rounds, "images": images})
