# SPDX-License-Identifier: BSD-3-Clause
"""The managed objects of the inventory: what they are called and which properties they have.

properties() gives path -> Value; None is a property that exists but is not set, which a property
collector leaves out of its answer. A path that is not there at all is an InvalidProperty.
"""

import threading

from simulator.api.values import Reference, References, boolean, leaf, string


class ManagedObject:
    kinds = ()  # what a TypeSpec may call it besides its own kind

    def __init__(self, kind, moref):
        self.kind, self.moref = kind, moref

    def is_a(self, kind):
        return kind == self.kind or kind in self.kinds or kind == "ManagedObject"

    def properties(self):
        return {}

    def composite(self, path):
        """The xsi:type of the data object at path, for those who ask for more than one leaf."""
        return {"config": "VirtualMachineConfigInfo", "config.hardware": "VirtualHardware",
                "config.files": "VirtualMachineFileInfo", "capability": "VirtualMachineCapability",
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
    """Its children on an inventory path are its four folders; we have two."""

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
        """The inventory path as dcPath has it: with the folders above, without the root."""
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
        self.container, self.wanted, self.recursive = container, kinds, recursive

    def view(self):
        return [one for one in _below(self.container, self.recursive)
                if not self.wanted or any(one.is_a(kind) for kind in self.wanted)]

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
        self.answered = threading.local()  # .session: of the call that this thread answers

    def current_of(self, session):
        self.answered.session = session

    def properties(self):
        session = getattr(self.answered, "session", None)
        return {"currentSession": session.value() if session else None}


class ServiceObject(ManagedObject):
    """SearchIndex, PropertyCollector ...: objects that have methods and no properties of interest."""


def description(label, summary):
    return leaf("label", label) + leaf("summary", summary)
