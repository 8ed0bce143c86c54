# SPDX-License-Identifier: BSD-3-Clause
"""The property collector's methods, with pages."""

import re

from simulator.api.elements import child, children, text
from simulator.api.faults import invalid_argument
from simulator.api.methods.registry import ANY, method
from simulator.api.property_collector import collect, property_of
from simulator.api.values import leaf, tag


@method("PropertyCollector", "RetrievePropertiesEx")
def retrieve_properties_ex(call):
    objects = collect(call.inventory, children(call.arguments, "specSet"))
    limit = text(child(call.arguments, "options"), "maxObjects", "")
    most = call.service.most_objects
    return _page(call, objects, min(int(limit), most) if limit.isdecimal() and int(limit) > 0 else most)


@method("PropertyCollector", "ContinueRetrievePropertiesEx")
def continue_retrieve_properties_ex(call):
    objects, limit = call.service.retrievals.pop(call.argument("token", ""), (None, 0))
    if objects is None:
        raise invalid_argument("token")
    return _page(call, objects, limit)


def _page(call, objects, limit):
    if not objects:
        return ""
    token = ""
    if len(objects) > limit:
        token = call.inventory.new_moref("token")
        call.service.retrievals[token] = (objects[limit:], limit)
    if call.missing:
        objects = [_unseen(one, call.missing) for one in objects]
    return tag("returnval", (leaf("token", token) if token else "") + "".join(objects[:limit]))


def _unseen(one, kind):
    """An object whose properties are in a missingSet, with this fault."""
    fault = tag("fault", tag("fault", leaf("privilegeId", "System.Read"), xsi=kind) + leaf("localizedMessage", ""))
    return re.sub("<propSet><name>(.*?)</name>.*?</propSet>",
                  lambda found: tag("missingSet", leaf("path", found[1]) + fault), one, flags=re.DOTALL)


@method("PropertyCollector", "RetrieveProperties")
def retrieve_properties(call):
    objects = collect(call.inventory, children(call.arguments, "specSet"))
    return "".join("<returnval>" + one.removeprefix("<objects>").removesuffix("</objects>") +
                   "</returnval>" for one in objects)


@method(ANY, "Fetch")
def fetch(call):
    """A property of an object; of one that is not set, nothing. pyVmomi reads properties by it since version 8."""
    value = property_of(call.this, call.argument("prop", ""))
    return value.field("returnval") if value is not None else ""
