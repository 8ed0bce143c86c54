# SPDX-License-Identifier: BSD-3-Clause
"""The virtual machines of a vCenter Server."""
import asyncio
import dataclasses
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from ..plan.plan import VCenter
from .asking import Away, answer_of, can_ask, end, leave, silent, start

__all__ = ["Away", "Inventory", "VmFacts", "ask", "can_ask", "normal"]

DEADLINE = 120.0  # seconds for all that is asked


@dataclass(frozen=True)
class VmFacts:
    path: str  # in the inventory
    host: str  # that runs it: a reference; "" if it has none
    template: bool = False
    disks: dict[str, int] = field(default_factory=dict)  # device key -> bytes; only if they were asked for

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Inventory:
    machines: dict[str, VmFacts]  # by path

    def find(self, vm: str) -> VmFacts | None:
        """vm: a value of the vsphere plugin's vm=, a path or a name, which may have a slash in it. None if there is none, or if
        there are several: which they are is for the plugin to say."""
        path, name = normal(vm), _lower(vm.replace("/", "%2f"))
        exact = self.machines.get(path) if "/" in vm else None
        if exact is not None:
            return exact
        found = [facts for facts in self.machines.values()
                 if facts.name == name or "/" in vm and facts.path.casefold() == path.casefold()]
        return found[0] if len(found) == 1 else None

    def below(self, folder: str) -> list[VmFacts]:
        """Sorted by their paths. Templates are no machines."""
        return [facts for path, facts in sorted(self.machines.items())
                if path.startswith(normal(folder) + "/") and not facts.template]


def normal(path: str) -> str:
    return "/" + _lower(path.strip("/"))


def _lower(text: str) -> str:
    """Names of the API have %2f, %5c and %25 in them, in lower case."""
    return re.sub("%[0-9a-fA-F]{2}", lambda found: found[0].lower(), text)


async def ask(vcenter: VCenter, sizes: Collection[str] = ()) -> Inventory:
    """sizes: paths of machines whose disks are of interest. Raises Refused if the login is refused, or Failure."""
    request = json.dumps({**dataclasses.asdict(vcenter), "sizes": [normal(path) for path in sizes]})
    process = await start("query")
    try:
        async with asyncio.timeout(DEADLINE):
            output, _ = await process.communicate(request.encode())
    except asyncio.CancelledError:
        await leave(process)
        raise
    except TimeoutError:
        raise silent(vcenter, DEADLINE) from None
    finally:
        await end(process)
    return Inventory({vm["path"]: VmFacts(**vm) for vm in answer_of(vcenter, output)["vms"]})
