# SPDX-License-Identifier: BSD-3-Clause
"""/_test: how a test plays the guest, the administrator and the bad day. See the help of vcenter.py."""

import threading

from simulator.api.faults import UNAVAILABLE, Ordered
from simulator.api.methods import METHODS

FOLDER_KINDS = ("401", "403", "404", "500", "503", "reset", "stall", "ignore-range", "short")
DISK_MODES = ("persistent", "nonpersistent", "independent_persistent", "independent_nonpersistent")
CONTROLS = {}  # name -> function(service, arguments, body) -> dict


def control(function):
    CONTROLS[function.__name__] = function
    return function


class Arguments:
    """The query of a control request; complains of what is missing or unknown."""

    def __init__(self, service, query):
        self.service, self.query, self.used = service, query, set()

    def text(self, name, default=None):
        self.used.add(name)
        value = self.query.get(name, default)
        if value is None:
            raise ValueError(f"{name}= is missing")
        return value

    def number(self, name, default=None):
        return int(self.text(name, None if default is None else str(default)), 0)

    def flag(self, name):
        value = self.text(name)
        if value not in ("0", "1"):
            raise ValueError(f"{name}={value}: must be 0 or 1")
        return value == "1"

    def has(self, name):
        return name in self.query

    def vm(self):
        moref = self.text("vm", "")
        found = [vm for vm in self.service.inventory.machines() if moref in ("", vm.moref)]
        if len(found) != 1:
            raise ValueError(f"vm={moref}: {len(found)} such virtual machines")
        return found[0]

    def disk(self):
        vm, key = self.vm(), self.text("disk", "")
        found = [disk for disk in vm.disks if key in ("", str(disk.key))]
        if len(found) != 1:
            raise ValueError(f"disk={key}: {len(found)} such disks")
        return found[0]

    def all_used(self):
        unknown = set(self.query) - self.used
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")


@control
def write(service, arguments, body):
    """The guest writes: the body at offset=, or length= times byte=."""
    disk, offset = arguments.disk(), arguments.number("offset")
    if arguments.has("length"):
        length, byte = arguments.number("length"), arguments.number("byte")
        arguments.all_used()
        disk.fill(offset, length, byte)
        return {"written": length}
    arguments.all_used()
    start = offset
    for piece in body:
        disk.write(offset, piece)
        offset += len(piece)
    return {"written": offset - start}


@control
def unmap(service, arguments, body):
    disk = arguments.disk()
    offset, length = arguments.number("offset"), arguments.number("length")
    arguments.all_used()
    disk.unmap(offset, length)
    return {}


@control
def lie(service, arguments, body):
    disk = arguments.disk()
    offset, length = arguments.number("offset"), arguments.number("length")
    byte = arguments.number("byte")
    arguments.all_used()
    disk.fill(offset, length, byte, tracked=False)
    return {}


def import_(service, arguments, body):
    disk, path = arguments.disk(), arguments.text("file")
    arguments.all_used()
    return {"changed": disk.take_over(path)}


CONTROLS["import"] = import_


@control
def touch(service, arguments, body):
    disk, count, every = arguments.disk(), arguments.number("count"), arguments.number("every", 2)
    arguments.all_used()
    disk.touch(count, every)
    return {}


@control
def grow(service, arguments, body):
    disk, size = arguments.disk(), arguments.number("size")
    arguments.all_used()
    disk.grow(size)
    return {}


@control
def reset(service, arguments, body):
    disk = arguments.disk()
    arguments.all_used()
    disk.reset_tracking()
    return {}


@control
def cbt(service, arguments, body):
    vm, on = arguments.vm(), arguments.flag("on")
    arguments.all_used()
    with vm.lock:
        vm.cbt = on
        vm.stun()
    return {}


@control
def power(service, arguments, body):
    vm, on = arguments.vm(), arguments.flag("on")
    arguments.all_used()
    vm.set_power(on)
    return {}


@control
def template(service, arguments, body):
    vm, on = arguments.vm(), arguments.flag("on")
    arguments.all_used()
    vm.template = on
    return {}


@control
def mode(service, arguments, body):
    disk, wanted = arguments.disk(), arguments.text("mode")
    arguments.all_used()
    if wanted not in DISK_MODES:
        raise ValueError(f"mode={wanted}: must be one of {', '.join(DISK_MODES)}")
    disk.mode = wanted
    return {}


@control
def backing(service, arguments, body):
    disk = arguments.disk()
    disk.rdm, disk.sharing = arguments.text("rdm", ""), arguments.text("sharing", "")
    disk.names_datastore = arguments.flag("datastore") if arguments.has("datastore") else True
    arguments.all_used()
    return {}


@control
def bus(service, arguments, body):
    vm, sharing = arguments.vm(), arguments.text("sharing")
    arguments.all_used()
    vm.bus_sharing = sharing
    return {}


@control
def consolidation(service, arguments, body):
    vm, needed = arguments.vm(), arguments.flag("needed")
    arguments.all_used()
    vm.consolidation_needed = needed
    return {}


@control
def expire(service, arguments, body):
    arguments.all_used()
    service.tickets.expire_all()
    return {"expired": service.sessions.expire_all()}


@control
def tickets(service, arguments, body):
    once = arguments.flag("once")
    arguments.all_used()
    service.tickets.once = once
    return {}


@control
def fault(service, arguments, body):
    order = Ordered(arguments.text("where"), arguments.text("kind"), arguments.number("count", 1),
                    arguments.number("after", 0), arguments.text("key", ""),
                    arguments.text("message", ""), arguments.text("task", "0") == "1",
                    float(arguments.text("seconds", "30")))
    arguments.all_used()
    if order.where in ("folder", "flat", "host"):
        if order.kind not in FOLDER_KINDS:
            raise ValueError(f"kind={order.kind}: for {order.where} one of {', '.join(FOLDER_KINDS)}")
    elif order.where not in {name for _, name in METHODS}:
        raise ValueError(f"where={order.where}: no such method; or folder, flat, host")
    elif order.in_task and not order.where.endswith("_Task"):
        raise ValueError(f"where={order.where}: has no task that could fail")
    elif not order.kind.isalpha() and (order.kind != UNAVAILABLE or order.in_task):
        raise ValueError(f"kind={order.kind}: must be the name of a fault")
    service.orders.add(order)
    return {}


@control
def nofault(service, arguments, body):
    arguments.all_used()
    service.orders.clear()
    return {}


@control
def state(service, arguments, body):
    arguments.all_used()
    with service.lock:
        counted = {"soap": dict(service.counts), "folder": dict(service.folder),
                   "host_requests": service.host_requests, "tickets": service.tickets.issued}
    with service.orders.lock:
        pending = len(service.orders.list)
    return counted | {
        "vms": {vm.moref: _vm_state(vm) for vm in service.inventory.machines()},
        "sessions": len(service.sessions.open), "logins": service.sessions.logins,
        "faults": pending, "threads": threading.active_count()}


def _vm_state(vm):
    with vm.lock:
        return {
            "name": vm.name, "power": vm.power, "cbt": vm.cbt,
            "uuid": vm.uuid, "instance_uuid": vm.instance_uuid,
            "snapshots": [{"moref": one.moref, "name": one.name, "description": one.text,
                           "quiesced": one.quiesced} for one in vm.snapshots],
            "taken": vm.taken, "most_snapshots": vm.most_snapshots,
            "consolidation_needed": vm.consolidation_needed,
            "disks": {str(disk.key): {
                "size": disk.size, "tracked": disk.uuid is not None, "epoch": disk.epoch,
                "uuid": disk.uuid, "file": disk.path, "vmdk": disk.file_name,
                "allocated": sum(disk.allocated.flags) * 65536} for disk in vm.disks}}
