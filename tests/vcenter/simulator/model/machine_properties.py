# SPDX-License-Identifier: BSD-3-Clause
"""The properties of a VM: path -> Value, or None for one that is not set."""

from simulator.api.values import Array, Reference, References, Value, boolean, enumeration, integer, leaf, string, tag
from simulator.model import hardware
from simulator.model.files import small_files
from simulator.model.power import OFF, ON


def machine_properties(vm):
    return _config(vm) | _runtime(vm) | {
        "capability.snapshotOperationsSupported": boolean(True),
        "capability.changeTrackingSupported": boolean(True),
        "datastore": References([vm.datastore]),
        "layoutEx.file": Array("VirtualMachineFileLayoutExFileInfo", [
            ("VirtualMachineFileLayoutExFileInfo",
             leaf("key", key) + leaf("name", f"[{vm.datastore.name}] {path}") + leaf("type", kind) + leaf("size", len(content)))
            for key, (path, (kind, content)) in enumerate(small_files(vm).items())]),
        "parentVApp": None,
        "customValue": None,
        "snapshot": _snapshot_info(vm),
        "rootSnapshot": References(vm.snapshots[:1]),
    }


def _config(vm):
    configuration = vm.configuration
    return {
        "config.name": string(vm.name),
        "config.guestFullName": string(configuration.guest_name),
        "config.version": string("vmx-19"),
        "config.uuid": string(vm.uuid),
        "config.instanceUuid": string(vm.instance_uuid),
        "config.template": boolean(vm.template),
        "config.guestId": string(configuration.guest_id),
        "config.annotation": string(configuration.annotation),
        "config.changeVersion": string(vm.changed),
        "config.changeTrackingEnabled": boolean(vm.cbt),
        "config.files.vmPathName": string(f"[{vm.datastore.name}] {vm.directory}/{vm.name}.vmx"),
        "config.tools.toolsVersion": integer(12352),
        "config.hardware.numCPU": integer(configuration.cpus),
        "config.hardware.numCoresPerSocket": integer(configuration.cores),
        "config.hardware.memoryMB": integer(configuration.memory_mb),
        "config.hardware.device": hardware.devices(vm),
        "config.extraConfig": Array("OptionValue", [
            ("OptionValue", leaf("key", key) + tag("value", string(value).inner, xsi="xsd:string"))
            for key, value in ({"nvram": f"{vm.name}.nvram"} | configuration.extra).items()]),
        "config.firmware": string(configuration.firmware),
        "config.bootOptions.efiSecureBootEnabled": boolean(configuration.secure_boot),
        "config.bootOptions.bootOrder": Array("VirtualMachineBootOptionsBootableDevice", [
            _boot_device(*one.split()) for one in configuration.boot_order]),
    }


def _boot_device(kind, key=None):
    name, inner = {"disk": ("Disk", leaf("deviceKey", key)), "network": ("Ethernet", leaf("deviceKey", key)),
                   "cd": ("Cdrom", ""), "floppy": ("Floppy", "")}[kind]
    return f"VirtualMachineBootOptionsBootable{name}Device", inner


def _runtime(vm):
    state = vm.state
    tools = state.on and state.tools
    return {
        "runtime.powerState": enumeration("VirtualMachinePowerState", state.state),
        "runtime.connectionState": enumeration("VirtualMachineConnectionState", "connected"),
        "runtime.bootTime": Value("xsd:dateTime", state.boot_time) if state.state == ON else None,
        "runtime.cleanPowerOff": boolean(state.clean) if state.state == OFF and state.clean is not None else None,
        "runtime.question": Value("VirtualMachineQuestionInfo", leaf("id", "1") + leaf("text", state.question) + tag(
            "choice", "")) if state.question else None,
        "runtime.consolidationNeeded": boolean(vm.consolidation_needed),
        "runtime.host": Reference(vm.host) if vm.host else None,
        "guest.toolsRunningStatus": string("guestToolsRunning" if tools else "guestToolsNotRunning"),
        "guest.toolsStatus": enumeration("VirtualMachineToolsStatus", "toolsOk" if tools else "toolsNotRunning"),
        "guest.guestState": string("running" if state.on else "notRunning"),
        "guest.guestFullName": string(vm.configuration.guest_name) if tools else None,
    }


def _snapshot_info(vm):
    if not vm.snapshots:
        return None
    return Value("VirtualMachineSnapshotInfo",
                 Reference(vm.snapshots[-1]).field("currentSnapshot") +
                 vm.snapshots[0].tree("rootSnapshotList", vm.snapshots[1:]))
