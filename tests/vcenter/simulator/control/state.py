# SPDX-License-Identifier: BSD-3-Clause
"""The control that shows the state of the simulator."""

import threading

from simulator.control.registry import control


@control
def evaluate(service, arguments, body):
    """A Python expression of the state s, and of its machine v."""
    expression, moref = arguments.text("of"), arguments.text("vm", "vm-42")
    arguments.all_used()
    current = _state(service)
    try:
        value = eval(expression, {"s": current, "v": current["vms"].get(moref)})
    except Exception as error:
        raise ValueError(f"{expression}: {error!r}") from None
    return str(value)


@control
def state(service, arguments, body):
    arguments.all_used()
    return _state(service)


def _state(service):
    with service.lock:
        counted = {"soap": dict(service.counts), "folder": dict(service.folder),
                   "host_requests": service.host_requests, "tickets": len(service.tickets.issued),
                   "host_thumbprint": service.tickets.thumbprint}
    with service.injected_faults.lock:
        pending = len(service.injected_faults.pending)
    return counted | {
        "vms": {vm.moref: _vm_state(vm) for vm in service.inventory.machines()},
        "sessions": len(service.sessions.open), "logins": service.sessions.logins,
        "secrets": [service.sessions.password, *service.sessions.issued, *service.tickets.issued],
        "most_snapshots": dict(service.inventory.counts.most), "faults": pending, "threads": threading.active_count()}


def _vm_state(vm):
    with vm.lock:
        return {
            "name": vm.name, "power": vm.power, "cbt": vm.cbt,
            "power_log": vm.state.log, "clean": vm.state.clean, "shutting_down": vm.state.shutting_down is not None,
            "written": sum(one.written for one in vm.guest.writers),
            "uuid": vm.uuid, "instance_uuid": vm.instance_uuid,
            "snapshots": [{"moref": one.moref, "name": one.name, "description": one.text,
                           "quiesced": one.quiesced} for one in vm.snapshots],
            "taken": vm.taken, "most_snapshots": vm.most_snapshots,
            "consolidation_needed": vm.consolidation_needed,
            "disks": {str(disk.key): {
                "size": disk.size, "tracked": disk.tracking.on, "epoch": disk.tracking.epoch,
                "uuid": disk.tracking.uuid, "file": disk.path, "vmdk": disk.file_name,
                "allocated": sum(disk.allocated.flags) * 65536} for disk in vm.disks}}
