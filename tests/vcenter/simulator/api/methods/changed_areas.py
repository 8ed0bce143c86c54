# SPDX-License-Identifier: BSD-3-Clause
"""QueryChangedDiskAreas."""

from simulator.api.faults import CBT_KEY, file_fault, invalid_argument, not_found
from simulator.api.methods.registry import method, number, reference
from simulator.api.values import leaf, tag
from simulator.model.areas import areas_of
from simulator.model.change_tracking import UnknownChange

MAX_AREAS = 2000  # in one answer, as of real vCenters


@method("VirtualMachine", "QueryChangedDiskAreas")
def query_changed_disk_areas(call):
    """Describes one page from startOffset on. The client continues at its end."""
    vm = call.this
    snapshot = reference(call, "snapshot", optional=True)
    disk = vm.disk(number(call, "deviceKey"))
    if disk is None:
        raise invalid_argument("deviceKey")
    if snapshot is None and vm.power == "poweredOn":
        raise invalid_argument()
    if snapshot is not None and snapshot not in vm.snapshots:
        raise not_found("VirtualMachineSnapshot", snapshot.moref)
    disk_snapshot = snapshot.disk_snapshots[disk.key] if snapshot else None
    size = (disk_snapshot or disk).size
    start = number(call, "startOffset")
    if not 0 <= start < size:
        raise invalid_argument("startOffset")
    end = min(start + call.service.page, size)
    try:
        blocks = disk.changes(call.argument("changeId", ""), disk_snapshot, start, end)
    except UnknownChange as unknown:
        path = f"/vmfs/volumes/{vm.datastore.moref}/{disk.file_name}"
        raise file_fault(path, CBT_KEY + str(unknown)) from None
    areas = areas_of(blocks, start, end)
    if len(areas) > MAX_AREAS:
        areas = areas[:MAX_AREAS]
        end = sum(areas[-1])
    return tag("returnval", leaf("startOffset", start) + leaf("length", end - start) + "".join(
        tag("changedArea", leaf("start", at) + leaf("length", length)) for at, length in areas))
