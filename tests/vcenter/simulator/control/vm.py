# SPDX-License-Identifier: BSD-3-Clause
"""Controls that change a VM and its disks."""

from simulator.control.registry import control

DISK_MODES = ("persistent", "nonpersistent", "independent_persistent", "independent_nonpersistent")


@control
def reset(service, arguments, body):
    disk = arguments.disk()
    arguments.all_used()
    disk.reset_tracking()
    return {}


@control
def cbt(service, arguments, body):
    vm, on = arguments.vm(), arguments.flag("on")
    arguments.all_used()
    with vm.lock:
        vm.cbt = on
        vm.stun()
    return {}


@control
def template(service, arguments, body):
    vm, on = arguments.vm(), arguments.flag("on")
    arguments.all_used()
    vm.template = on
    return {}


@control
def disk(service, arguments, body):
    """A new disk, with the content of a raw file, which is its live content from now on."""
    vm, key, path = arguments.vm(), arguments.number("key"), arguments.text("file")
    arguments.all_used()
    service.inventory.add_disk(vm, key, path)
    return {}


@control
def mode(service, arguments, body):
    disk, new_mode = arguments.disk(), arguments.text("mode")
    arguments.all_used()
    if new_mode not in DISK_MODES:
        raise ValueError(f"mode={new_mode}: must be one of {', '.join(DISK_MODES)}")
    disk.mode = new_mode
    return {}


@control
def backing(service, arguments, body):
    disk = arguments.disk()
    disk.rdm, disk.sharing = arguments.text("rdm", ""), arguments.text("sharing", "")
    disk.crypto_key = arguments.text("key", "")
    disk.names_datastore = arguments.flag("datastore") if arguments.has("datastore") else True
    arguments.all_used()
    return {}


@control
def bus(service, arguments, body):
    vm, sharing = arguments.vm(), arguments.text("sharing")
    arguments.all_used()
    vm.bus_sharing = sharing
    return {}


@control
def consolidation(service, arguments, body):
    vm, needed = arguments.vm(), arguments.flag("needed")
    if arguments.has("chain"):
        vm.has_chain = arguments.flag("chain")
    arguments.all_used()
    vm.consolidation_needed = needed
    return {}
