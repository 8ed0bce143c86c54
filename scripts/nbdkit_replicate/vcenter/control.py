# SPDX-License-Identifier: BSD-3-Clause
"""Program: does what is asked of the virtual machines of a vCenter Server or ESXi host, until its standard input ends.

Standard input: a line of JSON with the fields of plan.VCenter; then requests, a line of JSON each: {"do": NAME, ...}, see
ACTIONS. Standard output: an answer to each, a line of JSON: what the action returns, or {"error": TEXT, "kind": KIND}, see
session.KINDS.
It logs in with the first request, and again if the session has expired. All actions can be asked for twice. One that waits for
a task ends when standard input ends: who has asked does not wait any more.
"""
import http.client
import json
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from . import snapshots
from .datastore_files import download
from .hardware import definition_of
from .lookup import find, properties_of, reference_of
from .session import Session, error_of, name_of, open_session

POLL = 0.25  # seconds between two looks at a task


class Connection:
    """The session, while there is one."""

    def __init__(self, vcenter: dict[str, Any]) -> None:
        self._vcenter = vcenter
        self._session: Session | None = None

    def do(self, request: dict[str, Any]) -> dict[str, Any]:
        for last in (False, True):
            try:
                return ACTIONS[request["do"]](self._opened(), request)
            except Exception as e:
                expired = name_of(e) == "NotAuthenticated"
                if expired or isinstance(e, (OSError, http.client.HTTPException)):
                    self.close()
                if last or not expired:
                    raise
        raise AssertionError

    def close(self) -> None:
        opened, self._session = self._session, None
        if opened is not None:
            opened.close()

    def _opened(self) -> Session:
        if self._session is None:
            self._session = open_session(self._vcenter)
        return self._session


def main() -> None:
    connection = Connection(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        try:
            answer = connection.do(json.loads(line))
        except Exception as e:  # pyVmomi raises faults, http.client's errors, and others  # pylint: disable=broad-except
            answer = error_of(e)
        try:
            print(json.dumps(answer), flush=True)
        except BrokenPipeError:  # nbdkit-replicate was killed meanwhile; Python tries once more at the exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            break
    connection.close()


# --- the actions

def _find(opened: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{"vm": a value of the vsphere plugin's vm=} -> {"moref"}"""
    return {"moref": find(opened.content, request["vm"])._moId}  # pylint: disable=protected-access


def _power(opened: Session, request: dict[str, Any]) -> dict[str, Any]:
    """-> the fields of machine.Power"""
    got = _properties(opened, request, "runtime.powerState", "runtime.bootTime", "runtime.cleanPowerOff", "runtime.question",
                      "guest.toolsRunningStatus")
    question, boot = got.get("runtime.question"), got.get("runtime.bootTime")
    return {"state": got["runtime.powerState"], "boot_time": boot.isoformat() if boot else None,
            "clean": got.get("runtime.cleanPowerOff"), "question": question.text if question else None,
            "tools_running": got.get("guest.toolsRunningStatus") == "guestToolsRunning"}


def _shutdown(opened: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{"seconds": for another task of the machine}. The guest begins to shut down."""
    shutdown, end = _machine(opened, request).ShutdownGuest, _end_of(request)
    return _unless("poweredOff", lambda: _when_free(shutdown, end), opened, request)


def _power_off(opened: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{"seconds": for the task}"""
    begin = _machine(opened, request).PowerOffVM_Task
    return _unless("poweredOff", lambda: _run(begin, opened, request), opened, request)


def _power_on(opened: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{"seconds": for the task}"""
    begin = _machine(opened, request).PowerOnVM_Task
    return _unless("poweredOn", lambda: _run(begin, opened, request), opened, request)


def _unless(state: str, change: Callable[[], None], opened: Session, request: dict[str, Any]) -> dict[str, Any]:
    """It is no error that the machine is in that state already."""
    try:
        change()
    except Exception as e:
        if name_of(e) != "InvalidPowerState" or _power(opened, request)["state"] != state:
            raise
    return {}


def _end_of(request: dict[str, Any]) -> float:
    return time.monotonic() + float(request["seconds"])


def _when_free(begin: Callable[[], Any], end: float) -> Any:
    """What begin() returns. A machine runs one task at a time: another one, of whomever, is waited for."""
    while True:
        try:
            return begin()
        except Exception as e:
            if name_of(e) != "TaskInProgress" or time.monotonic() > end:
                raise
        _pause()


def _run(begin: Callable[[], Any], opened: Session, request: dict[str, Any]) -> None:
    """begin: starts a task. A question of the virtual machine, which somebody has to answer in vSphere, is not waited for."""
    end = _end_of(request)
    task = _when_free(begin, end)
    while True:
        info = properties_of(opened.content, task, "info.state", "info.error")
        if info["info.state"] == "error":
            raise info["info.error"]
        if info["info.state"] == "success":
            return
        question = _power(opened, request)["question"]
        if question:
            raise RuntimeError(f"the virtual machine has a question that is to be answered in vSphere: {question}")
        if time.monotonic() > end:
            raise RuntimeError(f"the task of vSphere has not ended within {request['seconds']:.0f} seconds")
        _pause()


def _pause() -> None:
    """There is no other request meanwhile, so that what comes is the end."""
    if select.select([sys.stdin], [], [], POLL)[0]:
        raise RuntimeError("nobody waits for the task any more")


def _definition(opened: Session, request: dict[str, Any]) -> dict[str, Any]:
    """-> the content of definition.json"""
    got = _properties(opened, request, "config", "guest.toolsRunningStatus")
    return definition_of(got["config"], got.get("guest.toolsRunningStatus"))


def _download(opened: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{"directory"} -> {"files": names in it}"""
    return {"files": download(opened, _machine(opened, request), request["directory"])}


def _snapshot(opened: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{"name", "text", "seconds": for the task} -> {"snapshot"}"""
    return snapshots.take(opened, request, lambda begin: _run(begin, opened, request))


def _remove_snapshot(opened: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{"name", "seconds": for the task}"""
    return snapshots.remove(opened, request, lambda begin: _run(begin, opened, request))


def _properties(opened: Session, request: dict[str, Any], *paths: str) -> dict[str, Any]:
    return properties_of(opened.content, _machine(opened, request), *paths)


def _machine(opened: Session, request: dict[str, Any]) -> Any:
    return reference_of(opened.content, request["moref"])


ACTIONS: dict[str, Callable[[Session, dict[str, Any]], dict[str, Any]]] = {
    "find": _find, "power": _power, "shutdown": _shutdown, "power-off": _power_off, "power-on": _power_on,
    "definition": _definition, "download": _download, "snapshot": _snapshot, "remove-snapshot": _remove_snapshot}

if __name__ == "__main__":
    main()
