# SPDX-License-Identifier: BSD-3-Clause
"""Power: the tasks that switch a VM on and off, and the guest that is asked to shut down, which is no task."""

from simulator.api.faults import Fault
from simulator.api.methods.registry import method
from simulator.api.methods.tasks import start_task


@method("VirtualMachine", "PowerOnVM_Task")
def power_on(call):
    vm = call.this
    return start_task(call, "PowerOnVM_Task", vm, lambda: vm.state.switch_on(call.service.closing))


@method("VirtualMachine", "PowerOffVM_Task")
def power_off(call):
    vm = call.this
    return start_task(call, "PowerOffVM_Task", vm, vm.state.switch_off)


@method("VirtualMachine", "ShutdownGuest")
def shutdown_guest(call):
    vm = call.this
    if not vm.busy.acquire(blocking=False):
        raise Fault("TaskInProgress", "Another task is already in progress.")
    try:
        vm.state.shut_down_guest()
    finally:
        vm.busy.release()
    return ""
