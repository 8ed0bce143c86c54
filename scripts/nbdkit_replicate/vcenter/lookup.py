# SPDX-License-Identifier: BSD-3-Clause
"""Finding a virtual machine by a value of the vsphere plugin's vm=: moref=ID, uuid=UUID, a path or a name. For the programs."""
from typing import Any

from .session import name_of, properties


def reference_of(content: Any, moref: str) -> Any:
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel
    return vim.VirtualMachine(moref, content.searchIndex._stub)  # pylint: disable=protected-access


def properties_of(content: Any, one: Any, *paths: str) -> dict[str, Any]:
    """Of one object; without those that are not set. Raises LookupError if there is no such object any more."""
    found = list(properties(content, type(one), [one], paths).values())
    if not found:
        raise LookupError(f"{one._moId} is gone")  # pylint: disable=protected-access
    return found[0]


def find(content: Any, vm: str) -> Any:
    """A vim.VirtualMachine. Raises LookupError if there is none, or if there are several."""
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel
    kind, equals, value = vm.partition("=")
    if equals and kind == "moref":
        return _existing(content, value, vm)
    if equals and kind == "uuid":
        search = content.searchIndex
        found = search.FindByUuid(None, value, True, True) or search.FindByUuid(None, value, True, False)
    else:
        found = content.searchIndex.FindByInventoryPath(vm) if "/" in vm else None
        found = found or _by_name(content, vm.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c"), vm)
    if not isinstance(found, vim.VirtualMachine):
        raise LookupError(f"there is no virtual machine {vm}")
    return found


def _existing(content: Any, moref: str, vm: str) -> Any:
    found = reference_of(content, moref)
    try:
        properties_of(content, found, "name")
    except Exception as e:
        if name_of(e) in ("ManagedObjectNotFound", "LookupError"):
            raise LookupError(f"there is no virtual machine {vm}") from None
        raise
    return found


def _by_name(content: Any, *names: str) -> Any:
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    try:
        all_of_them = properties(content, vim.VirtualMachine, list(view.view), ("name",))
    finally:
        view.Destroy()
    found = [machine for machine, facts in all_of_them.items() if facts.get("name") in names]
    if len(found) > 1:
        raise LookupError(f"{len(found)} virtual machines have the name {names[-1]}: give a path, or moref=ID")
    return found[0] if found else None


def datacenter_path(machine: Any) -> str:
    """As in dcPath= of /folder: with the folders above it, without the root."""
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel
    one = machine
    while one is not None and not isinstance(one, vim.Datacenter):
        one = one.parent
    names: list[str] = []
    while one is not None and one.parent is not None:
        names.insert(0, one.name)
        one = one.parent
    return "/".join(names)
