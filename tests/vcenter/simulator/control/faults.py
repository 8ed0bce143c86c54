# SPDX-License-Identifier: BSD-3-Clause
"""Controls that make later calls fail."""

from simulator.api.injected_faults import UNAVAILABLE, InjectedFault
from simulator.api.methods import METHODS
from simulator.control.registry import control

FOLDER_KINDS = ("401", "403", "404", "500", "503", "reset", "stall", "ignore-range", "short",
                "shorter")


@control
def fault(service, arguments, body):
    injected = InjectedFault(arguments.text("where"), arguments.text("kind"), arguments.number("count", 1),
                             arguments.number("after", 0), arguments.text("key", ""),
                             arguments.text("message", ""), arguments.text("task", "0") == "1",
                             float(arguments.text("seconds", "30")), _part(arguments), arguments.text("behind", ""))
    arguments.all_used()
    methods = {name for _, name in METHODS}
    if injected.behind and injected.behind not in methods:
        raise ValueError(f"behind={injected.behind}: no such method")
    if injected.where == "handshake":
        if injected.kind != "drop":
            raise ValueError(f"kind={injected.kind}: for handshake drop only")
    elif injected.where in ("folder", "flat", "host"):
        if injected.kind not in FOLDER_KINDS:
            raise ValueError(f"kind={injected.kind}: for {injected.where} one of {', '.join(FOLDER_KINDS)}")
    elif injected.where not in methods:
        raise ValueError(f"where={injected.where}: no such method; or folder, flat, host, handshake")
    elif injected.in_task and not injected.where.endswith("_Task"):
        raise ValueError(f"where={injected.where}: has no task that could fail")
    elif not injected.kind.isalpha() and (injected.kind != UNAVAILABLE or injected.in_task):
        raise ValueError(f"kind={injected.kind}: must be the name of a fault")
    service.injected_faults.add(injected)
    return {}


def _part(arguments):
    """offset=, length=: None if they are not given."""
    if not arguments.has("offset"):
        return None
    offset = arguments.number("offset")
    return range(offset, offset + arguments.number("length"))


@control
def nofault(service, arguments, body):
    arguments.all_used()
    service.injected_faults.clear()
    return {}


@control
def expire(service, arguments, body):
    arguments.all_used()
    service.tickets.expire_all()
    return {"expired": service.sessions.expire_all()}


@control
def tickets(service, arguments, body):
    if arguments.has("once"):
        service.tickets.once = arguments.flag("once")
    if arguments.has("thumbprint"):
        service.tickets.thumbprint = arguments.text("thumbprint")
    arguments.all_used()
    return {}


@control
def answers(service, arguments, body):
    objects = arguments.number("objects")
    arguments.all_used()
    service.most_objects = objects
    return {}


@control
def pace(service, arguments, body):
    milliseconds = arguments.number("task-ms")
    arguments.all_used()
    service.tasks.pace(milliseconds)
    return {}


@control
def gather(service, arguments, body):
    requests = arguments.number("requests")
    arguments.all_used()
    with service.lock:
        service.gathering = requests
        service.folder["most_at_once"] = service.folder["at_once"]
        service.admission.notify_all()
    return {}


@control
def hold(service, arguments, body):
    offset = arguments.number("offset")
    _hold(service, range(offset, offset + arguments.number("length")), arguments)
    return {}


@control
def release(service, arguments, body):
    _hold(service, range(0), arguments)
    return {}


def _hold(service, part, arguments):
    arguments.all_used()
    with service.lock:
        service.held = part
        service.admission.notify_all()
