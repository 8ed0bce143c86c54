# SPDX-License-Identifier: BSD-3-Clause
"""The methods of the vSphere API that are simulated."""

from simulator.api.methods import changed_areas, power, properties, search, service, tasks
from simulator.api.methods.registry import ANY, METHODS, WITHOUT_SESSION

__all__ = ["ANY", "METHODS", "WITHOUT_SESSION", "changed_areas", "power", "properties", "search", "service", "tasks"]
