# SPDX-License-Identifier: BSD-3-Clause
"""Program: asks a vCenter Server, or an ESXi host, for its virtual machines. One login.

Standard input: JSON with the fields of plan.VCenter, and "sizes", paths of the machines whose disks are asked for as well.
Standard output: JSON, {"vms": [{"path", "host", "template", "disks": {KEY: bytes}}]}, or {"error": TEXT, "kind": "refused",
"away" or ""}.
"""
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from .session import error_of, open_session, properties


def main() -> None:
    request = json.load(sys.stdin)
    try:
        answer = _ask(request)
    except Exception as e:  # pyVmomi raises faults, http.client's errors, and others  # pylint: disable=broad-except
        answer = error_of(e)
    try:
        print(json.dumps(answer), flush=True)
    except BrokenPipeError:  # nbdkit-replicate was killed meanwhile; Python tries once more at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    opened = open_session(request)
    try:
        return {"vms": list(_machines(opened.content, request["sizes"]))}
    finally:
        opened.close()


def _machines(content: Any, sizes: list[str]) -> Iterator[dict[str, Any]]:
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    try:
        found = list(view.view)
    finally:
        view.Destroy()
    facts = properties(content, vim.VirtualMachine, found, ("name", "parent", "runtime.host", "config.template"))
    entities = {reference: facts[reference] for reference in facts}
    _add_parents(content, entities)
    paths = {reference: _path(reference, entities) for reference in facts}
    wanted = [reference for reference, path in paths.items() if path in sizes]
    hardware = properties(content, vim.VirtualMachine, wanted, ("config.hardware.device",)) if wanted else {}
    hosts = {fact["runtime.host"] for fact in facts.values() if fact.get("runtime.host") is not None}
    for reference, path in paths.items():
        host = facts[reference].get("runtime.host")
        yield {"path": path, "host": host._moId if host in hosts else "",  # pylint: disable=protected-access
               "template": bool(facts[reference].get("config.template")),
               "disks": {str(one.key): one.capacityInKB * 1024
                         for one in hardware.get(reference, {}).get("config.hardware.device", [])
                         if isinstance(one, vim.vm.device.VirtualDisk)}}


def _add_parents(content: Any, entities: dict[Any, dict[str, Any]]) -> None:
    """Up to the root."""
    while missing := {fact["parent"] for fact in entities.values()
                      if fact.get("parent") is not None and fact["parent"] not in entities}:
        for kind in {type(reference) for reference in missing}:
            of_kind = [reference for reference in missing if type(reference) is kind]  # pylint: disable=unidiomatic-typecheck
            entities |= properties(content, kind, of_kind, ("name", "parent"))


def _path(reference: Any, entities: dict[Any, dict[str, Any]]) -> str:
    """Without the root folder, which has no parent."""
    names: list[str] = []
    while entities[reference].get("parent") is not None:
        names.insert(0, entities[reference]["name"])
        reference = entities[reference]["parent"]
    return "/" + "/".join(names)


if __name__ == "__main__":
    main()
