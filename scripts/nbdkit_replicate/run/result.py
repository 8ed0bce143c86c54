# SPDX-License-Identifier: BSD-3-Clause
"""Whether the copy of a disk is complete, after its servers have ended."""
import enum
from collections.abc import Collection

from ..contract import image_file, is_closed_cleanly, owing_destinations, read_state
from ..messages import RUN_AGAIN, Failure, mib, say
from ..plan.replication import Module
from ..programs.source import DiskFacts


class Result(enum.Enum):
    """The values are exit statuses, together with 2 for a wrong command line: nbdkit-replicate(1)."""

    DONE = 0
    INCOMPLETE = 1
    BEHIND = 3  # the target is complete, a further destination is not

    @classmethod
    def of_all(cls, results: Collection["Result"]) -> "Result":
        return next((r for r in (cls.INCOMPLETE, cls.BEHIND) if r in results), cls.DONE)


def check_image(target: Module) -> None:
    """Raises Failure if qcow2 could not close the image. nbdkit has no exit status for that."""
    file = image_file(target.parameters)
    if target.plugin == "qcow2" and file is not None and not is_closed_cleanly(file):
        raise Failure(f"{file} was not closed cleanly, see above; {RUN_AGAIN}")


def check_state(path: str, facts: DiskFacts) -> None:
    """Says that the target is complete, or raises Failure with what is missing."""
    state = read_state(path)
    # If nothing has changed, nothing is sent, and the state may keep its earlier checkpoint.
    behind = facts.delta > 0 and state.checkpoint != facts.description.checkpoint
    if state.owed or behind:
        raise Failure(f"{path}: {mib(state.owed)} is still owed; {RUN_AGAIN}")
    say(f"{path}: complete" + (f", as of {state.checkpoint}" if state.checkpoint else ""))


def behind(fanout_stats: str) -> str:
    """Which destinations do not have everything, after the end of the target; "" if all have."""
    owing = [f"{name} is owed {mib(count)}" for name, count in owing_destinations(fanout_stats)]
    return f"{'; '.join(owing)}; run the same command again to send it" if owing else ""
