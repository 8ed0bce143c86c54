# SPDX-License-Identifier: BSD-3-Clause
"""/_test: how a test plays the guest and the administrator, and injects faults. See vcenter.py --help."""

from simulator.control import configuration, faults, guest, power, state, vm
from simulator.control.arguments import Arguments
from simulator.control.registry import CONTROLS

__all__ = ["CONTROLS", "Arguments", "configuration", "faults", "guest", "power", "state", "vm"]
