# SPDX-License-Identifier: BSD-3-Clause
"""The registry of the controls."""

CONTROLS = {}  # name -> function(service, arguments, body) -> dict


def control(function):
    CONTROLS[function.__name__.rstrip("_")] = function
    return function
