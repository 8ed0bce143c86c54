# SPDX-License-Identifier: BSD-3-Clause
"""Whether the copy of a disk is complete, after its servers have ended."""
from ..contract import owing_destinations, read_state
from ..messages import RUN_AGAIN, Failure, mib, say
from ..programs.source import DiskFacts


def check_state(path: str, facts: DiskFacts) -> None:
    """Says that the target is complete, or raises Failure with what is missing."""
    state = read_state(path)
    # If nothing has changed, nothing is sent, and the state may keep its earlier checkpoint.
    behind = facts.delta > 0 and state.checkpoint != facts.description.checkpoint
    if state.owed or behind:
        raise Failure(f"{path}: {mib(state.owed)} is still owed; {RUN_AGAIN}")
    say(f"{path}: complete" + (f", as of {state.checkpoint}" if state.checkpoint else ""))


def check_destinations(fanout_stats: str) -> None:
    """Raises Failure if the target has ended before every destination had everything."""
    owing = [f"{name} is owed {mib(count)}" for name, count in owing_destinations(fanout_stats)]
    if owing:
        raise Failure("; ".join(owing) + f"; see above; {RUN_AGAIN}")
