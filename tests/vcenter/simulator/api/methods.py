# SPDX-License-Identifier: BSD-3-Clause
"""The methods of the vSphere API that the simulator has. Each takes a Call and returns XML."""

import uuid

from simulator.model.areas import areas_of
from simulator.api.property_collector import child, children, collect, text, true
from simulator.model.disk import UnknownChange
from simulator.api.faults import CBT_KEY, Fault, file_fault, invalid_argument, not_found
from simulator.model.objects import ContainerView
from simulator.api.values import Reference, leaf, tag

MOST_AREAS = 2000  # in one answer, as vCenters have been seen to do
WITHOUT_SESSION = {"RetrieveServiceContent", "Login"}
METHODS = {}  # (kind of object, method) -> function


def method(kind, name):
    def register(function):
        METHODS[kind, name] = function
        return function
    return register


def _reference(call, name, optional=False):
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


# Each run is a vCenter of its own: what is reserved there is not reserved here.
_VCENTER = (("name", "VMware vCenter Server"), ("osType", "linux-x64"), ("productLineId", "vpx"),
            ("apiType", "VirtualCenter"), ("instanceUuid", str(uuid.uuid4())))
_ESXI = (("name", "VMware ESXi"), ("osType", "vmnix-x86"), ("productLineId", "embeddedEsx"),
         ("apiType", "HostAgent"))


def _number(call, name):
    value = call.argument(name, "")
    if not value.lstrip("-").isdecimal():
        raise invalid_argument(name)
    return int(value)


# --- service and session

@method("ServiceInstance", "RetrieveServiceContent")
def retrieve_service_content(call):
    about = "".join(leaf(name, value) for name, value in (
        ("vendor", "VMware, Inc."), ("version", "8.0.2"), ("build", "22617221"),
        *(_ESXI if call.inventory.esxi else _VCENTER), ("apiVersion", "8.0.2.0")))
    service = call.inventory.service
    return tag("returnval", "".join(Reference(service[field]).field(field) for field in (
        "rootFolder", "propertyCollector", "viewManager")) + tag("about", about) + "".join(
            Reference(service[field]).field(field) for field in ("sessionManager", "searchIndex")))


@method("SessionManager", "Login")
def login(call):
    session = call.service.sessions.login(call.argument("userName", ""), call.argument("password", ""))
    if session is None:
        raise Fault("InvalidLogin",
                    "Cannot complete login due to an incorrect user name or password.")
    call.new_session = session
    return tag("returnval", session.inner())


@method("SessionManager", "Logout")
def logout(call):
    call.service.sessions.logout(call.session)
    return ""


@method("SessionManager", "AcquireGenericServiceTicket")
def acquire_generic_service_ticket(call):
    tickets, spec = call.service.tickets, child(call.arguments, "spec")
    url = text(spec, "url", "") if spec is not None else ""
    if tickets.thumbprint is None or not url.startswith("https://"):
        raise Fault("NotSupported", "The operation is not supported on the object.")
    if text(spec, "method", "httpGet") != "httpGet":
        raise invalid_argument("spec.method")
    return tag("returnval", leaf("id", tickets.issue(url)) +
               leaf("hostName", url.removeprefix("https://").partition("/")[0]) +
               leaf("sslThumbprint", tickets.thumbprint))


# --- finding

@method("SearchIndex", "FindByInventoryPath")
def find_by_inventory_path(call):
    one = call.inventory.by_path(call.argument("inventoryPath", ""))
    return Reference(one).field("returnval") if one else ""


@method("SearchIndex", "FindByUuid")
def find_by_uuid(call):
    if not true(call.arguments, "vmSearch"):
        return ""  # hosts: none
    center = _reference(call, "datacenter", optional=True)
    vm = call.inventory.by_uuid(call.argument("uuid", ""), true(call.arguments, "instanceUuid"))
    if vm is None or (center is not None and vm.datacenter() is not center):
        return ""
    return Reference(vm).field("returnval")


@method("ViewManager", "CreateContainerView")
def create_container_view(call):
    kinds = [one.text or "" for one in children(call.arguments, "type")]
    view = call.inventory.add(ContainerView(call.inventory.new_moref("session-view"),
                                            _reference(call, "container"), kinds,
                                            true(call.arguments, "recursive")))
    return Reference(view).field("returnval")


@method("ContainerView", "DestroyView")
def destroy_view(call):
    call.inventory.drop(call.this)
    return ""


# --- properties

@method("PropertyCollector", "RetrievePropertiesEx")
def retrieve_properties_ex(call):
    objects = collect(call.inventory, children(call.arguments, "specSet"))
    most = text(child(call.arguments, "options"), "maxObjects", "")
    return _page(call, objects, int(most) if most.isdecimal() and int(most) > 0 else 1000)


@method("PropertyCollector", "ContinueRetrievePropertiesEx")
def continue_retrieve_properties_ex(call):
    objects, most = call.service.retrievals.pop(call.argument("token", ""), (None, 0))
    if objects is None:
        raise invalid_argument("token")
    return _page(call, objects, most)


def _page(call, objects, most):
    if not objects:
        return ""
    token = ""
    if len(objects) > most:
        token = call.inventory.new_moref("token")
        call.service.retrievals[token] = (objects[most:], most)
    return tag("returnval", (leaf("token", token) if token else "") + "".join(objects[:most]))


@method("PropertyCollector", "RetrieveProperties")
def retrieve_properties(call):
    objects = collect(call.inventory, children(call.arguments, "specSet"))
    return "".join("<returnval>" + one.removeprefix("<objects>").removesuffix("</objects>") +
                   "</returnval>" for one in objects)


# --- tasks

def _start_task(call, name, vm, work):
    order = call.service.orders.due(call.method, in_task=True)
    return Reference(call.service.tasks.start(name, vm, work, order)).field("returnval")


@method("VirtualMachine", "ReconfigVM_Task")
def reconfigure(call):
    vm, spec = call.this, child(call.arguments, "spec")
    if spec is None:
        raise invalid_argument("spec")
    on = text(spec, "changeTrackingEnabled")
    return _start_task(call, "ReconfigVM_Task", vm,
                       lambda: vm.set_cbt(on in ("true", "1")) if on is not None else None)


@method("VirtualMachine", "CreateSnapshot_Task")
def create_snapshot(call):
    vm, name = call.this, call.argument("name", "")
    if not name:
        raise invalid_argument("name")

    def work():
        return call.inventory.add(vm.take_snapshot(
            call.inventory.new_moref("snapshot"), name, call.argument("description", ""),
            true(call.arguments, "quiesce")))
    return _start_task(call, "CreateSnapshot_Task", vm, work)


@method("VirtualMachineSnapshot", "RemoveSnapshot_Task")
def remove_snapshot(call):
    snapshot = call.this
    with_children = true(call.arguments, "removeChildren")
    return _start_task(call, "RemoveSnapshot_Task", snapshot.vm,
                       lambda: _remove(call.inventory, snapshot, with_children))


@method("VirtualMachine", "ConsolidateVMDisks_Task")
def consolidate(call):
    vm = call.this

    def work():
        vm.consolidation_needed = False
    return _start_task(call, "ConsolidateVMDisks_Task", vm, work)


@method("VirtualMachine", "RemoveAllSnapshots_Task")
def remove_all_snapshots(call):
    vm = call.this
    return _start_task(call, "RemoveAllSnapshots_Task", vm,
                       lambda: vm.snapshots and _remove(call.inventory, vm.snapshots[0], True) or None)


def _remove(inventory, snapshot, with_children):
    vm = snapshot.vm
    before = list(vm.snapshots)
    vm.remove_snapshot(snapshot, with_children)
    for one in before:
        if one not in vm.snapshots:
            inventory.drop(one)


# --- changed block tracking

@method("VirtualMachine", "QueryChangedDiskAreas")
def query_changed_disk_areas(call):
    """Describes one page, from startOffset on; the caller has to ask again from its end."""
    vm = call.this
    snapshot = _reference(call, "snapshot", optional=True)
    disk = vm.disk(_number(call, "deviceKey"))
    if disk is None:
        raise invalid_argument("deviceKey")
    if snapshot is None and vm.power == "poweredOn":
        raise invalid_argument()
    if snapshot is not None and snapshot not in vm.snapshots:
        raise not_found("VirtualMachineSnapshot", snapshot.moref)
    frozen = snapshot.frozen[disk.key] if snapshot else None
    size = frozen.size if frozen else disk.size
    start = _number(call, "startOffset")
    if not 0 <= start < size:
        raise invalid_argument("startOffset")
    end = min(start + call.service.page, size)
    try:
        blocks = disk.changes(call.argument("changeId", ""), frozen, start, end)
    except UnknownChange as unknown:
        path = f"/vmfs/volumes/{vm.datastore.moref}/{disk.file_name}"
        raise file_fault(path, CBT_KEY + str(unknown)) from None
    areas = areas_of(blocks, start, end)
    if len(areas) > MOST_AREAS:
        areas = areas[:MOST_AREAS]
        end = sum(areas[-1])
    return tag("returnval", leaf("startOffset", start) + leaf("length", end - start) + "".join(
        tag("changedArea", leaf("start", at) + leaf("length", length)) for at, length in areas))
