# SPDX-License-Identifier: BSD-3-Clause
"""The machines in the folders of a plan."""
import dataclasses
import fnmatch
from collections.abc import Iterable, Mapping

from ..messages import WrongUse
from ..vcenter.inventory import Inventory, normal
from .machines import Known, is_name
from .plan import VM, Folder, Machine, Plan


def with_folders(plan: Plan, inventories: Mapping[str, Inventory]) -> Plan:
    """With the machines that are in the folders now. A machine that the plan names itself is not taken from a folder again;
    one that is in two folders belongs to the first. Folders of vCenters that could not be asked are left as they are."""
    named = {(machine.vcenter, normal(_path_of(machine))) for machine in plan.machines}
    known, left = Known(), []
    for machine in plan.machines:
        known.add(machine)  # reading.py has compared these
    for folder in plan.folders:
        inventory = inventories.get(folder.vcenter)
        if inventory is None:
            left.append(folder)
            continue
        for facts in inventory.below(folder.path):
            if _includes(folder, facts.name) and (folder.vcenter, facts.path) not in named:
                named.add((folder.vcenter, facts.path))
                _add(plan, known, folder, facts.name, facts.path)
    return dataclasses.replace(plan, machines=tuple(known.names.values()), folders=tuple(left))


def choose(plan: Plan, names: Iterable[str]) -> Plan:
    """Only the machines of these names; no names: all."""
    chosen = tuple(dict.fromkeys(names))
    if not chosen:
        return plan
    known = {machine.name: machine for machine in plan.machines}
    for name in chosen:
        if name not in known:
            raise WrongUse(f"{plan.path}: the plan has no machine {name}; it has {', '.join(sorted(known))}")
    return dataclasses.replace(plan, machines=tuple(known[name] for name in chosen), folders=())


def _includes(folder: Folder, name: str) -> bool:
    def matches(patterns: tuple[str, ...]) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    return (not folder.include or matches(folder.include)) and not matches(folder.exclude)


def _add(plan: Plan, known: Known, folder: Folder, name: str, path: str) -> None:
    place = f"{plan.path}:{folder.line}: folder {folder.path}"
    if not is_name(name):
        raise WrongUse(f'{place}: the name of {path} cannot be part of a file name: add a [[vm]] with a name= for it, and '
                       f'exclude = ["{name}"]')
    other = known.names.get(name)
    if other is not None:
        raise WrongUse(f"{place}: {path} has the same name as {_path_of(other) or 'another machine of the plan'}: add a [[vm]] "
                       f"with a name= of its own for one of them")
    if (common := known.add(_machine(folder, name, path))) is not None:
        raise WrongUse(f"{place}: {common[1]}")


def _machine(folder: Folder, name: str, path: str) -> Machine:
    source = folder.template.source
    parameters = tuple(f"vm={path}" if word == f"vm={VM}" else word for word in source.parameters)
    return dataclasses.replace(folder.template, source=dataclasses.replace(source, parameters=parameters)).named(name)


def _path_of(machine: Machine) -> str:
    return next((word.removeprefix("vm=") for word in machine.source.parameters if word.startswith("vm=")), "")
