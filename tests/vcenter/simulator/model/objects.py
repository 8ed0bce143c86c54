# SPDX-License-Identifier: BSD-3-Clause
"""The managed objects of the inventory and their properties.

properties() returns path -> Value. None is a property that exists but is not set: a property collector
omits it. A path that is missing is an InvalidProperty.
"""

import threading

from simulator.api.values import Reference, References, boolean, leaf, string


class ManagedObject:
    kinds = ()  # the base types

    def __init__(self, kind, moref):
        self.kind, self.moref = kind, moref

    def is_a(self, kind):
        return kind == self.kind or kind in self.kinds or kind == "ManagedObject"

    def properties(self):
        return {}

    def composite(self, path):
        """The xsi:type of the data object at a path that is not a leaf."""
        return {"config": "VirtualMachineConfigInfo", "config.hardware": "VirtualHardware",
                "config.files": "VirtualMachineFileInfo", "config.tools": "ToolsConfigInfo",
                "config.bootOptions": "VirtualMachineBootOptions", "layoutEx": "VirtualMachineFileLayoutEx",
                "guest": "GuestInfo", "capability": "VirtualMachineCapability",
                "runtime": "VirtualMachineRuntimeInfo", "summary": "DatastoreSummary",
                "info": "TaskInfo"}.get(path)


class Entity(ManagedObject):
    kinds = ("ManagedEntity",)

    def __init__(self, kind, moref, name, parent):
        super().__init__(kind, moref)
        self.name, self.parent = name, parent

    def properties(self):
        return {"name": string(self.name), "parent": Reference(self.parent) if self.parent else None}

    def ancestors(self):
        """Itself, its parent, and so on up to the root folder."""
        one = self
        while one is not None:
            yield one
            one = one.parent


class Folder(Entity):
    def __init__(self, moref, name, parent):
        super().__init__("Folder", moref, name, parent)
        self.children = []

    def properties(self):
        return super().properties() | {"childEntity": References(self.children)}

    def child(self, name):
        return next((one for one in self.children if one.name == name), None)


class Datacenter(Entity):
    """On an inventory path its children are its folders, of which two are simulated."""

    def __init__(self, moref, name, parent, vm_folder, datastore_folder):
        super().__init__("Datacenter", moref, name, parent)
        self.vm_folder = Folder(vm_folder, "vm", self)
        self.datastore_folder = Folder(datastore_folder, "datastore", self)

    @property
    def children(self):
        return [self.vm_folder, self.datastore_folder]

    def child(self, name):
        return next((one for one in self.children if one.name == name), None)

    def path(self):
        """The inventory path as in dcPath: with the folders above it, without the root."""
        return "/".join(reversed([one.name for one in self.ancestors() if one.parent is not None]))

    def properties(self):
        return super().properties() | {
            "vmFolder": Reference(self.vm_folder),
            "datastoreFolder": Reference(self.datastore_folder),
            "datastore": References(self.datastore_folder.children),
        }


class Datastore(Entity):
    def __init__(self, moref, name, folder):
        super().__init__("Datastore", moref, name, folder)

    def properties(self):
        return super().properties() | {
            "summary.name": string(self.name),
            "summary.url": string(f"ds:///vmfs/volumes/{self.moref}/"),
            "summary.type": string("VMFS"),
            "summary.accessible": boolean(True),
        }


class HostSystem(Entity):
    def __init__(self, moref, name, parent):
        super().__init__("HostSystem", moref, name, parent)

    def properties(self):
        return super().properties() | {"summary.config.name": string(self.name)}


class ContainerView(ManagedObject):
    kinds = ("View", "ManagedObjectView")

    def __init__(self, moref, container, kinds, recursive):
        super().__init__("ContainerView", moref)
        self.container, self.types, self.recursive = container, kinds, recursive

    def view(self):
        return [one for one in _below(self.container, self.recursive)
                if not self.types or any(one.is_a(kind) for kind in self.types)]

    def properties(self):
        return {"container": Reference(self.container), "view": References(self.view())}


def _below(one, recursive):
    for child in getattr(one, "children", []):
        yield child
        if recursive:
            yield from _below(child, True)


class SessionManager(ManagedObject):
    def __init__(self, moref):
        super().__init__("SessionManager", moref)
        self.current = threading.local()  # .session: of the call that this thread answers

    def set_current(self, session):
        self.current.session = session

    def properties(self):
        session = getattr(self.current, "session", None)
        return {"currentSession": session.value() if session else None}


class ServiceObject(ManagedObject):
    """SearchIndex, PropertyCollector and so on: methods, and no simulated properties."""


def description(label, summary):
    return leaf("label", label) + leaf("summary", summary)
