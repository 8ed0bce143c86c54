# SPDX-License-Identifier: BSD-3-Clause
"""Methods that start tasks: reconfiguration and snapshots."""

from simulator.api.elements import child, text, true
from simulator.api.faults import invalid_argument
from simulator.api.methods.registry import method
from simulator.api.values import Reference


def start_task(call, name, vm, work):
    injected = call.service.injected_faults.take(call.method, in_task=True)
    return Reference(call.service.tasks.start(name, vm, work, injected)).field("returnval")


@method("VirtualMachine", "ReconfigVM_Task")
def reconfigure(call):
    vm, spec = call.this, child(call.arguments, "spec")
    if spec is None:
        raise invalid_argument("spec")
    on = text(spec, "changeTrackingEnabled")
    return start_task(call, "ReconfigVM_Task", vm,
                       lambda: vm.set_cbt(on in ("true", "1")) if on is not None else None)


@method("VirtualMachine", "CreateSnapshot_Task")
def create_snapshot(call):
    vm, name = call.this, call.argument("name", "")
    if not name:
        raise invalid_argument("name")

    def work():
        return call.inventory.add(vm.take_snapshot(
            call.inventory.new_moref("snapshot"), name, call.argument("description", ""),
            true(call.arguments, "quiesce")))
    return start_task(call, "CreateSnapshot_Task", vm, work)


@method("VirtualMachineSnapshot", "RemoveSnapshot_Task")
def remove_snapshot(call):
    snapshot = call.this
    with_children = true(call.arguments, "removeChildren")
    return start_task(call, "RemoveSnapshot_Task", snapshot.vm,
                       lambda: _remove(call.inventory, snapshot, with_children))


@method("VirtualMachine", "ConsolidateVMDisks_Task")
def consolidate(call):
    vm = call.this

    def work():
        vm.consolidation_needed = False
    return start_task(call, "ConsolidateVMDisks_Task", vm, work)


@method("VirtualMachine", "RemoveAllSnapshots_Task")
def remove_all_snapshots(call):
    vm = call.this
    return start_task(call, "RemoveAllSnapshots_Task", vm,
                       lambda: vm.snapshots and _remove(call.inventory, vm.snapshots[0], True) or None)


def _remove(inventory, snapshot, with_children):
    vm = snapshot.vm
    before = list(vm.snapshots)
    vm.remove_snapshot(snapshot, with_children)
    for one in before:
        if one not in vm.snapshots:
            inventory.drop(one)
