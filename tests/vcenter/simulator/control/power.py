# SPDX-License-Identifier: BSD-3-Clause
"""Controls that switch a VM on and off as somebody else would, and say how its guest behaves then."""

import os

from simulator.api.methods import METHODS
from simulator.control.registry import control
from simulator.model.power import OFF, ON, SUSPENDED

STATES = {"0": OFF, "1": ON, "suspended": SUSPENDED}


@control
def power(service, arguments, body):
    """With at=METHOD not now, but when that method is called next, just before that."""
    vm, word = arguments.vm(), arguments.text("on")
    if word not in STATES:
        raise ValueError(f"on={word}: must be one of {', '.join(STATES)}")
    method = arguments.text("at", "")
    if method and method not in {name for _, name in METHODS}:
        raise ValueError(f"at={method}: no such method")
    arguments.all_used()
    if method:
        service.before.add(method, lambda: vm.state.set(STATES[word], "somebody"))
    else:
        vm.state.set(STATES[word], "somebody")
    return {}


@control
def tools(service, arguments, body):
    vm, running = arguments.vm(), arguments.flag("running")
    arguments.all_used()
    vm.state.tools = running
    return {}


@control
def shutdown(service, arguments, body):
    vm, seconds = arguments.vm(), arguments.text("seconds")
    arguments.all_used()
    vm.state.shutdown_seconds = None if seconds == "never" else float(seconds)
    return {}


@control
def question(service, arguments, body):
    vm, text = arguments.vm(), arguments.text("text")
    arguments.all_used()
    vm.state.question = text or None
    return {}


@control
def keep(service, arguments, body):
    vm, directory = arguments.vm(), arguments.text("directory")
    arguments.all_used()
    os.makedirs(directory, exist_ok=True)
    vm.guest.keep = directory
    return {}
