# SPDX-License-Identifier: BSD-3-Clause
"""The control that says what a VM is made of."""

import json

from simulator.control.registry import control


@control
def configure(service, arguments, body):
    """The body is JSON with fields of model/configuration.py; those that are not given stay."""
    vm = arguments.vm()
    arguments.all_used()
    values = json.loads(b"".join(body))
    with vm.lock:
        vm.configuration = vm.configuration.changed(values)
    return {}
