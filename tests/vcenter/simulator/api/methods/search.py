# SPDX-License-Identifier: BSD-3-Clause
"""Finding objects, and container views."""

from simulator.api.elements import children, true
from simulator.api.methods.registry import method, reference
from simulator.api.values import Reference
from simulator.model.objects import ContainerView


@method("SearchIndex", "FindByInventoryPath")
def find_by_inventory_path(call):
    one = call.inventory.by_path(call.argument("inventoryPath", ""))
    return Reference(one).field("returnval") if one else ""


@method("SearchIndex", "FindByUuid")
def find_by_uuid(call):
    if not true(call.arguments, "vmSearch"):
        return ""  # no hosts
    center = reference(call, "datacenter", optional=True)
    vm = call.inventory.by_uuid(call.argument("uuid", ""), true(call.arguments, "instanceUuid"))
    if vm is None or (center is not None and vm.datacenter() is not center):
        return ""
    return Reference(vm).field("returnval")


@method("ViewManager", "CreateContainerView")
def create_container_view(call):
    kinds = [one.text or "" for one in children(call.arguments, "type")]
    view = call.inventory.add(ContainerView(call.inventory.new_moref("session-view"),
                                            reference(call, "container"), kinds,
                                            true(call.arguments, "recursive")))
    return Reference(view).field("returnval")


@method("ContainerView", "DestroyView")
def destroy_view(call):
    call.inventory.drop(call.this)
    return ""
