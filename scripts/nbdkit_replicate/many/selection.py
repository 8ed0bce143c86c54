# SPDX-License-Identifier: BSD-3-Clause
"""Which machines of a plan are run."""
from dataclasses import dataclass

from ..messages import Failure
from ..plan.folders import choose, with_folders
from ..plan.plan import Folder, Limits, Machine, Plan
from .shard import Shard
from .vcenters import VCenters


@dataclass(frozen=True)
class Choice:
    """What of the plan is run."""

    names: tuple[str, ...] = ()  # of machines; () is all
    shard: Shard = Shard()
    any_time: bool = False  # the window does not matter
    verbose: bool = False


class Selection:
    def __init__(self, plan: Plan, choice: Choice) -> None:
        """Folders are not looked into if the plan itself has all machines that are named."""
        if choice.names and {machine.name for machine in plan.machines}.issuperset(choice.names):
            plan = choose(plan, choice.names)
        self._choice = choice
        self.plan = plan
        self.vcenters = VCenters(plan)
        self.left: tuple[Folder, ...] = ()  # that could not be looked into: vcenters.failure() tells why

    @property
    def limits(self) -> Limits:
        return self._choice.shard.limits(self.plan.limits)

    async def machines(self) -> tuple[Machine, ...]:
        """Asks the vCenters."""
        await self.vcenters.ask()
        plan = with_folders(self.plan, self.vcenters.inventories)
        self.left = plan.folders
        if self.left and not {machine.name for machine in plan.machines}.issuperset(self._choice.names):
            raise self.why(self.left[0])
        return self._choice.shard.of(choose(plan, self._choice.names).machines)

    def why(self, folder: Folder) -> Failure:
        return self.vcenters.failure(folder.vcenter) or Failure(f"{folder.path} could not be looked into")
