# SPDX-License-Identifier: BSD-3-Clause
"""What the run of a machine of a plan starts."""
import dataclasses

from ..composition.replication import Module, Replication
from ..contract import is_plugin, reconnecting, timeout_over
from ..files import resolved
from ..parameters import add_default
from ..plan.plan import Machine, Plan
from ..plan.values import bytes_of
from ..points.next_image import PointTargets
from ..states import state_path


def replication_of(plan: Plan, machine: Machine, time: str, verbose: bool = False) -> Replication:
    """time: {time} of the run."""
    seconds = plan.reconnect_for.total_seconds()
    filters, parameters = reconnecting(machine.source.plugin, machine.source.parameters, seconds)
    if plan.limits.source_rate:
        filters.append("rate")
        parameters.append(f"rate={8 * bytes_of(plan.limits.source_rate)}")  # bits
    target = list(machine.target.parameters)
    if seconds:
        add_default(target, "apply-timeout", timeout_over(seconds))
    machine = dataclasses.replace(machine, target=Module(machine.target.plugin, tuple(target)))
    states = resolved(machine.states)
    return Replication(
        source=Module(machine.source.plugin, (*machine.source.parameters, *parameters)),
        target=machine.target,
        also=machine.also if machine.several else tuple(one.of_disk(machine.single_disk) for one in machine.also),
        state=states if machine.several else resolved(state_path(states, machine.single_disk)),
        several=machine.several,
        at_once=plan.limits.disks,
        threads=plan.threads,
        client=plan.client,
        verbose=verbose,
        build=plan.build,
        targets=PointTargets(machine, time),
        only=machine.disks,
        source_filters=tuple(filters),
        patience=seconds)


def vm_of(machine: Machine) -> str:
    """The value of the vsphere plugin's vm=; "" for a source of another plugin."""
    if not is_plugin(machine.source.plugin, "vsphere"):
        return ""
    return next((word.removeprefix("vm=") for word in machine.source.parameters if word.startswith("vm=")), "")
