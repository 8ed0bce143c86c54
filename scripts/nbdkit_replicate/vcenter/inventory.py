# SPDX-License-Identifier: BSD-3-Clause
"""The virtual machines of a vCenter Server."""
import asyncio
import dataclasses
import importlib.util
import json
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ..messages import Failure, Refused
from ..plan.plan import VCenter

DEADLINE = 120.0  # seconds for all that is asked


class Away(Failure):
    """It cannot be reached now."""


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


def can_ask() -> bool:
    return importlib.util.find_spec("pyVmomi") is not None


async def ask(vcenter: VCenter, sizes: Collection[str] = ()) -> Inventory:
    """sizes: paths of machines whose disks are of interest. Raises Refused if the login is refused, or Failure."""
    request = json.dumps({**dataclasses.asdict(vcenter), "sizes": [normal(path) for path in sizes]})
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-B", "-m", "nbdkit_replicate.vcenter.query", stdin=PIPE, stdout=PIPE, process_group=0,
        env={**os.environ, "PYTHONPATH": package})
    try:
        async with asyncio.timeout(DEADLINE):
            output, _ = await process.communicate(request.encode())
    except TimeoutError:
        raise Away(f"vCenter {vcenter.name} ({vcenter.server}) has not answered for {DEADLINE:.0f} seconds") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _inventory(vcenter, output)


def _inventory(vcenter: VCenter, output: bytes) -> Inventory:
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        raise Failure(f"vCenter {vcenter.name} ({vcenter.server}) could not be asked, see above") from None
    if "error" in answer:
        kind = {"refused": Refused, "away": Away}.get(answer["kind"], Failure)
        raise kind(f"vCenter {vcenter.name} ({vcenter.server}): {answer['error']}")
    return Inventory({vm["path"]: VmFacts(**vm) for vm in answer["vms"]})
