# SPDX-License-Identifier: BSD-3-Clause
"""The property collector: the objects that a PropertyFilterSpec selects, and their properties as XML."""

from simulator.api.elements import child, children, local, text, true
from simulator.api.faults import Fault, invalid_argument, not_found
from simulator.api.values import Reference, Value, leaf, tag


def collect(inventory, specs):
    """The <objects> elements for all the specSet elements of a call."""
    answer = []
    for spec in specs:
        prop_sets = {text(one, "type"): one for one in children(spec, "propSet")}
        for object_set in children(spec, "objectSet"):
            for one in _select(inventory, object_set):
                prop_set = next((prop_sets[kind] for kind in prop_sets if one.is_a(kind)), None)
                if prop_set is not None:
                    answer.append(_object(one, prop_set))
    return answer


def _select(inventory, object_set):
    element = child(object_set, "obj")
    moref = (element.text or "") if element is not None else ""
    start = inventory.get(moref)
    if start is None:
        raise not_found(element.get("type", "") if element is not None else "", moref)
    named = {text(one, "name"): one for one in object_set.iter()
             if local(one) == "selectSet" and child(one, "type") is not None and text(one, "name")}
    found = [] if true(object_set, "skip") else [start]
    seen = set()
    _walk(start, children(object_set, "selectSet"), named, found, seen)
    return found


def _walk(one, select_sets, named, found, seen):
    for select in select_sets:
        spec = select if child(select, "type") is not None else named.get(text(select, "name"))
        if spec is None:
            raise invalid_argument("selectSet")
        if not one.is_a(text(spec, "type")) or (one.moref, id(spec)) in seen:
            continue
        seen.add((one.moref, id(spec)))
        value = one.properties().get(text(spec, "path"))
        for target in getattr(value, "targets", []):
            if not true(spec, "skip") and target not in found:
                found.append(target)
            _walk(target, children(spec, "selectSet"), named, found, seen)


def _object(one, prop_set):
    properties = one.properties()
    if true(prop_set, "all"):
        paths = list(dict.fromkeys(path.partition(".")[0] for path in properties))
    else:
        paths = [path.text or "" for path in children(prop_set, "pathSet")]
    inner = Reference(one).field("obj")
    for path in paths:
        value = _property(one, properties, path)
        if value is not None:
            inner += tag("propSet", leaf("name", path) + value.val())
    return tag("objects", inner)


def property_of(one, path):
    """The Value of an object's property; None: it is not set."""
    return _property(one, one.properties(), path)


def _property(one, properties, path):
    if path in properties:
        return properties[path]
    names = dict.fromkeys(key[len(path) + 1:].partition(".")[0] for key in properties
                          if key.startswith(path + "."))
    if not names:
        raise Fault("InvalidProperty", "", leaf("name", path))
    inner = ""
    for name in names:
        value = _property(one, properties, f"{path}.{name}")
        inner += value.field(name) if value is not None else ""
    return Value(one.composite(path), inner)
