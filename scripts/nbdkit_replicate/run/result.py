# SPDX-License-Identifier: BSD-3-Clause
"""Whether the copy of a disk is complete, after its servers have ended."""
import enum
from collections.abc import Collection

from ..contract import owing_destinations
from ..images import check_complete, is_qcow2
from ..messages import RUN_AGAIN, Failure, mib
from ..composition.replication import DiskCopy
from ..programs.source import DiskFacts
from ..states import State, read_state


class Result(enum.Enum):
    """The values are exit statuses, together with 2 for a wrong command line: nbdkit-replicate(1)."""

    DONE = 0
    INCOMPLETE = 1
    BEHIND = 3  # the target is complete, a further destination is not

    @classmethod
    def of_all(cls, results: Collection["Result"]) -> "Result":
        return next((r for r in (cls.INCOMPLETE, cls.BEHIND) if r in results), cls.DONE)


def check_copy(disk: DiskCopy, facts: DiskFacts) -> str:
    """Returns a message that the target is complete, or raises Failure with what is missing."""
    state = read_state(disk.state)
    _check_state(disk.state, state, facts)
    if is_qcow2(disk.target.plugin):
        # nbdkit's exit status does not say whether a plugin has closed what it has written.
        try:
            check_complete(disk.target.parameters, state)
        except Failure as e:
            raise Failure(f"the copy is not complete: {e}; {RUN_AGAIN}") from e
    return f"{disk.state}: complete" + (f", as of {state.checkpoint}" if state.checkpoint else "")


def _check_state(path: str, state: State, facts: DiskFacts) -> None:
    # If nothing has changed, nothing is sent, and the state may keep its earlier checkpoint.
    behind = facts.delta > 0 and state.checkpoint != facts.description.checkpoint
    if state.owed or behind:
        raise Failure(f"{path}: {mib(state.owed)} is still owed; {RUN_AGAIN}")


def behind(fanout_stats: str) -> str:
    """Which destinations do not have everything, after the end of the target; "" if all have."""
    owing = [f"{name} is owed {mib(count)}" for name, count in owing_destinations(fanout_stats)]
    return f"{'; '.join(owing)}; run the same command again to send it" if owing else ""
