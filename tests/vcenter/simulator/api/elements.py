# SPDX-License-Identifier: BSD-3-Clause
"""Parts of a request's XML, by names without namespaces."""


def local(element):
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def child(element, name):
    return next((one for one in element if local(one) == name), None)


def children(element, name):
    return [one for one in element if local(one) == name]


def text(element, name, default=None):
    found = child(element, name) if element is not None else None
    return default if found is None else (found.text or "")


def true(element, name, default=False):
    return text(element, name, "true" if default else "false") in ("true", "1")
