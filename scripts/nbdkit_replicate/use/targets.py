# SPDX-License-Identifier: BSD-3-Clause
"""Which image of a machine of a plan is used: that of the last run, completed or not, or the first one."""
from dataclasses import dataclass

from ..composition.replication import Module
from ..plan.plan import Machine
from ..points.next_image import last_target, next_target
from ..states import is_whole, state_path


@dataclass(frozen=True)
class UsedTargets:
    machine: Machine
    time: str  # {time} of an image that is fetched to: it will hold the disk as of now

    def prepare(self) -> None:
        """Nothing: what cannot be gone on with is told by target()."""

    def target(self, disk: str | None, full: bool) -> Module:
        name = disk or self.machine.single_disk
        if is_whole(state_path(self.machine.states, name)):
            return last_target(self.machine, name)
        return next_target(self.machine, name, self.time, full)
