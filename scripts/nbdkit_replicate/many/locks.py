# SPDX-License-Identifier: BSD-3-Clause
"""One run of a plan at a time, and one of each machine."""
import contextlib
import hashlib
import os
from collections.abc import Iterator

from ..files import make_directory
from ..plan.plan import Machine, Plan
from ..states import held_file
from .shard import Shard


@contextlib.contextmanager
def plan_held(plan: Plan, shard: Shard) -> Iterator[None]:
    """Raises Failure if another run of this plan, or of this shard of it, is under way."""
    directory = _common_directory(plan)
    make_directory(directory)
    part = f"-{shard.index}-of-{shard.count}" if shard.count > 1 else ""
    name = os.path.basename(plan.path).removesuffix(".toml")
    unique = hashlib.sha256(os.path.realpath(plan.path).encode()).hexdigest()[:8]
    with held_file(os.path.join(directory, f".{name}-{unique}{part}.lock"), f"{plan.path}: a run of this plan is under way"):
        yield


@contextlib.contextmanager
def machine_held(machine: Machine) -> Iterator[None]:
    """Raises Failure if another run of the machine is under way, of whatever plan or shard."""
    make_directory(machine.states)
    with held_file(os.path.join(machine.states, "run.lock"), "another run of this machine is under way"):
        yield


def _common_directory(plan: Plan) -> str:
    """The directory that has the states of all machines."""
    states = [machine.states for machine in plan.machines]
    states += [folder.template.states.partition("{vm}")[0] + "x" for folder in plan.folders]
    return os.path.commonpath([os.path.dirname(path.rstrip("/")) for path in states])
