# SPDX-License-Identifier: BSD-3-Clause
"""Snapshots of a virtual machine that stay until they are removed, found by their names. For the programs."""
from collections.abc import Callable, Iterator
from typing import Any

from .lookup import properties_of, reference_of
from .session import Session

Run = Callable[[Callable[[], Any]], None]  # begins a task, and waits for its end


def take(opened: Session, request: dict[str, Any], run: Run) -> dict[str, Any]:
    """{"name", "text"} -> {"snapshot": its reference}. Nothing is done if there is one of that name."""
    found = _find(opened, request)
    if found is None:
        machine = reference_of(opened.content, request["moref"])
        run(lambda: machine.CreateSnapshot_Task(name=request["name"], description=request["text"], memory=False, quiesce=False))
        found = _find(opened, request)
    if found is None:
        raise LookupError(f"the snapshot {request['name']} is gone")
    return {"snapshot": found._moId}  # pylint: disable=protected-access


def remove(opened: Session, request: dict[str, Any], run: Run) -> dict[str, Any]:
    """{"name"}. Nothing is done if there is none."""
    found = _find(opened, request)
    if found is not None:
        run(lambda: found.RemoveSnapshot_Task(removeChildren=False))
    return {}


def _find(opened: Session, request: dict[str, Any]) -> Any:
    machine = reference_of(opened.content, request["moref"])
    info = properties_of(opened.content, machine, "name", "snapshot").get("snapshot")
    trees = _all(info.rootSnapshotList) if info else iter(())
    return next((one.snapshot for one in trees if one.name == request["name"]), None)


def _all(trees: Any) -> Iterator[Any]:
    for one in trees:
        yield one
        yield from _all(one.childSnapshotList or [])
