# SPDX-License-Identifier: BSD-3-Clause
"""Whether the copy of a disk is complete, after its servers have ended."""
import enum
import os
from collections.abc import Callable, Collection, Mapping

from ..contract import destination_name, is_refused_login, known_destinations
from ..images import check_complete, is_qcow2
from ..messages import RUN_AGAIN, Failure, Refused, TooLate, mib
from ..composition.replication import DiskCopy
from ..programs.source import DiskFacts
from ..report import records
from ..states import State, read_state
from ..statistics import FanoutStatistics


class Result(enum.Enum):
    """The values are exit statuses, together with 2 for a wrong command line: nbdkit-replicate(1)."""

    DONE = 0
    INCOMPLETE = 1
    BEHIND = 3  # the target is complete, a further destination is not
    REFUSED = 4  # as INCOMPLETE: a login was refused, and is not to be tried again
    LATER = 5  # the time window has ended before all has been begun

    @classmethod
    def of_all(cls, results: Collection["Result"]) -> "Result":
        """The one that matters most: nothing is to be tried again after REFUSED, as that can lock an account."""
        return next((r for r in (cls.REFUSED, cls.INCOMPLETE, cls.BEHIND, cls.LATER) if r in results), cls.DONE)

    @classmethod
    def of_failure(cls, failure: BaseException) -> "Result":
        if isinstance(failure, TooLate):
            return cls.LATER
        return cls.REFUSED if isinstance(failure, Refused) or is_refused_login(str(failure)) else cls.INCOMPLETE

    @property
    def recorded(self) -> str:
        return {Result.DONE: records.DONE, Result.BEHIND: records.BEHIND}.get(self, records.INCOMPLETE)


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
    return ("" if disk.name else f"{disk.state}: ") + "complete" + (f", as of {state.checkpoint}" if state.checkpoint else "")


def _check_state(path: str, state: State, facts: DiskFacts) -> None:
    # If nothing has changed, nothing is sent, and the state may keep its earlier checkpoint.
    behind = facts.delta > 0 and state.checkpoint != facts.description.checkpoint
    if state.owed or behind:
        raise Failure(f"{path}: {mib(state.owed)} is still owed; {RUN_AGAIN}")


def owed_by_destination(disk: DiskCopy, fanout_stats: str) -> dict[str, int]:
    """After the end of the target: what its further destinations are owed, in bytes. The file of each is what the next
    run goes by. The statistics are of the moment when they were written last: a server that was killed has written
    none since. If there is neither, the whole disk counts as owed, which is the worst that is possible."""
    counted = {d.name: d.owed for d in FanoutStatistics.read(fanout_stats)}
    recorded = _recorded(disk.fanout_state)
    names = [destination_name(destination.uri, destination.parameters) for destination in disk.also]
    names += [name for name in counted if name not in names]
    unknown = read_state(disk.state).size
    return {name: max((found[name] for found in (recorded, counted) if name in found), default=unknown)
            for name in names}


def _recorded(directory: str) -> dict[str, int]:
    if not os.path.isdir(directory):
        return {}
    return {name: read_state(path).owed for path, name in known_destinations(directory)}


def behind(owed: Mapping[str, int], reason: Callable[[str], str]) -> str:
    """Which destinations do not have everything; "" if all have. reason(): why one has not; "" if that is not known."""
    owing = [f"{name} is owed {mib(count)}" + (f": {why}" if (why := reason(name)) else "")
             for name, count in owed.items() if count]
    return f"{'; '.join(owing)}; run the same command again to send it" if owing else ""
