# SPDX-License-Identifier: BSD-3-Clause
"""What a VM is made of besides its disks' content, as a test sets it by the control "configure"."""

import dataclasses


@dataclasses.dataclass
class Configuration:
    """Devices are dicts: {"type": class of the API, "key", "label", ...}, see model/hardware.py."""
    cpus: int = 2
    cores: int = 1  # per socket
    memory_mb: int = 2048
    firmware: str = "bios"
    secure_boot: bool = False
    tpm: bool = False
    guest_id: str = "debian12_64Guest"
    guest_name: str = "Debian GNU/Linux 12 (64-bit)"
    annotation: str = ""
    extra: dict = dataclasses.field(default_factory=dict)  # config.extraConfig
    controllers: list = dataclasses.field(default_factory=lambda: [
        {"type": "VirtualLsiLogicController", "key": 1000, "bus": 0}])
    places: dict = dataclasses.field(default_factory=dict)  # key of a disk -> [key of a controller, unit]
    cds: list = dataclasses.field(default_factory=list)  # with "controller", "unit", "iso", "connected"
    networks: list = dataclasses.field(default_factory=lambda: [
        {"type": "VirtualVmxnet3", "key": 4000, "network": "VM Network", "mac": "00:50:56:9a:1b:2c"}])
    boot_order: list = dataclasses.field(default_factory=list)  # "disk 2000", "network 4000", "cd", "floppy"
    others: list = dataclasses.field(default_factory=list)  # devices of any other type

    def changed(self, values):
        """With these values. Raises ValueError for what it does not know."""
        try:
            return dataclasses.replace(self, **values)
        except TypeError as error:
            raise ValueError(str(error)) from None

    def place(self, position, key):
        """(key of the controller, unit) of a disk, which is the position-th. Unit 7 is the controller itself."""
        given = self.places.get(str(key))
        return tuple(given) if given else (self.controllers[0]["key"], position + (position >= 7))
