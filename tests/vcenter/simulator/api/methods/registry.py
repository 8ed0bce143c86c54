# SPDX-License-Identifier: BSD-3-Clause
"""The registry of the methods. Each takes a Call (api/soap.py) and returns the inside of the response."""

from simulator.api.elements import child
from simulator.api.faults import invalid_argument, not_found

WITHOUT_SESSION = {"RetrieveServiceContent", "Login"}
ANY = ""  # the kind of a method that each object has
METHODS = {}  # (kind of object, method) -> function


def method(kind, name):
    def register(function):
        METHODS[kind, name] = function
        return function
    return register


def reference(call, name, optional=False):
    """The object that an argument refers to."""
    element = child(call.arguments, name)
    if element is None:
        if optional:
            return None
        raise invalid_argument(name)
    one = call.inventory.get(element.text or "")
    if one is None:
        raise not_found(element.get("type", ""), element.text or "")
    return one


def number(call, name):
    value = call.argument(name, "")
    if not value.lstrip("-").isdecimal():
        raise invalid_argument(name)
    return int(value)
