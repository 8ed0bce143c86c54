# SPDX-License-Identifier: BSD-3-Clause
"""XML in the form that a vCenter writes: values with their xsi:type, references with their type."""

from datetime import datetime, timezone


def escape(text):
    """As xml.sax.saxutils.escape, which takes long to import."""
    return text.replace("&", "&amp;").replace(">", "&gt;").replace("<", "&lt;")


def tag(name, inner="", xsi=None, ref=None):
    """An element. inner: XML."""
    attributes = (f' type="{ref}"' if ref else "") + (f' xsi:type="{xsi}"' if xsi else "")
    return f"<{name}{attributes}>{inner}</{name}>"


def leaf(name, value):
    """An element of a simple type."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    return tag(name, escape(str(value)))


class Value:
    """A property, which becomes the <val> of a property collector or a field of a data object."""

    def __init__(self, xsi, inner, polymorphic=False):
        self.xsi, self.inner, self.polymorphic = xsi, inner, polymorphic

    def val(self):
        return tag("val", self.inner, xsi=self.xsi)

    def field(self, name):
        return tag(name, self.inner, xsi=self.xsi if self.polymorphic else None)


class Reference(Value):
    def __init__(self, target):
        super().__init__("ManagedObjectReference", escape(target.moref))
        self.target = target
        self.targets = [target]

    def val(self):
        return tag("val", self.inner, xsi=self.xsi, ref=self.target.kind)

    def field(self, name):
        return tag(name, self.inner, ref=self.target.kind)


class AnyReference(Reference):
    """A reference where the type of the field is xsd:anyType."""

    def field(self, name):
        return tag(name, self.inner, xsi=self.xsi, ref=self.target.kind)


class References(Value):
    def __init__(self, targets):
        self.targets = list(targets)
        super().__init__("ArrayOfManagedObjectReference", "".join(
            tag("ManagedObjectReference", escape(one.moref), xsi="ManagedObjectReference",
                ref=one.kind) for one in self.targets))

    def field(self, name):
        return "".join(Reference(one).field(name) for one in self.targets)


class Array(Value):
    """An array of data objects: [(xsi type, inner XML)], all of the same base type."""

    def __init__(self, base, items):
        self.items = items
        super().__init__("ArrayOf" + base, "".join(tag(base, inner, xsi=xsi) for xsi, inner in items))

    def field(self, name):
        return "".join(tag(name, inner, xsi=xsi) for xsi, inner in self.items)


def string(value):
    return Value("xsd:string", escape(value))


def boolean(value):
    return Value("xsd:boolean", "true" if value else "false")


def integer(value):
    return Value("xsd:int", str(value))


def enumeration(kind, value):
    return Value(kind, value)


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
