# SPDX-License-Identifier: BSD-3-Clause
"""The small files of a VM in its directory on the datastore: the .vmx, the .vmxf and the .nvram."""

import hashlib

NVRAM = 8684  # bytes of a BIOS' NVRAM
EFI_NVRAM = 270840


def small_files(vm):
    """Path on the datastore -> (type of FileLayoutExFileInfo, content)."""
    stem = f"{vm.directory}/{vm.name}"
    return {f"{stem}.vmx": ("config", _vmx(vm).encode()),
            f"{stem}.vmxf": ("extendedConfig", b'<?xml version="1.0"?>\n<Foundry>\n</Foundry>\n'),
            f"{stem}.nvram": ("nvram", _nvram(vm))}


def _vmx(vm):
    configuration = vm.configuration
    lines = {".encoding": "UTF-8", "config.version": "8", "virtualHW.version": "19", "displayName": vm.name,
             "nvram": f"{vm.name}.nvram", "uuid.bios": vm.uuid, "vc.uuid": vm.instance_uuid,
             "guestOS": configuration.guest_id, "firmware": configuration.firmware,
             "uefi.secureBoot.enabled": "TRUE" if configuration.secure_boot else "FALSE",
             "numvcpus": configuration.cpus, "cpuid.coresPerSocket": configuration.cores,
             "memSize": configuration.memory_mb, "ctkEnabled": "TRUE" if vm.cbt else "FALSE"}
    for number, one in enumerate(configuration.networks):
        lines |= {f"ethernet{number}.present": "TRUE", f"ethernet{number}.address": one["mac"]}
    return "".join(f'{key} = "{value}"\n' for key, value in (lines | configuration.extra).items())


def _nvram(vm):
    """Of the VM's own: bytes that are the same in each run."""
    size = EFI_NVRAM if vm.configuration.firmware == "efi" else NVRAM
    return hashlib.shake_128(vm.uuid.encode()).digest(size)
