# SPDX-License-Identifier: BSD-3-Clause
"""The ServiceInstance, whose content leads to all other objects."""

import uuid

from simulator.api.values import Reference, Value, leaf, tag
from simulator.model.objects import ManagedObject

# The UUID is new in each run, so that each run is another vCenter.
_VCENTER = (("name", "VMware vCenter Server"), ("osType", "linux-x64"), ("productLineId", "vpx"),
            ("apiType", "VirtualCenter"), ("instanceUuid", str(uuid.uuid4())))
_ESXI = (("name", "VMware ESXi"), ("osType", "vmnix-x86"), ("productLineId", "embeddedEsx"),
         ("apiType", "HostAgent"))


class ServiceInstance(ManagedObject):
    def __init__(self, inventory):
        super().__init__("ServiceInstance", "ServiceInstance")
        self.inventory = inventory

    def content(self):
        about = "".join(leaf(name, value) for name, value in (
            ("vendor", "VMware, Inc."), ("version", "8.0.2"), ("build", "22617221"),
            *(_ESXI if self.inventory.esxi else _VCENTER), ("apiVersion", "8.0.2.0")))

        def references(*fields):
            return "".join(Reference(self.inventory.service[field]).field(field) for field in fields)
        return Value("ServiceContent", references("rootFolder", "propertyCollector", "viewManager") +
                     tag("about", about) + references("sessionManager", "searchIndex"))

    def properties(self):
        return {"content": self.content()}
