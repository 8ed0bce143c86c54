# SPDX-License-Identifier: BSD-3-Clause
"""Machines as VMware's client describes them (vim.vm.ConfigInfo), for test_definition, and as their definitions."""
from nbdkit_replicate.definition.definition import Cd, Definition, Disk, Guest, Network, OtherDevice, Tools

DETAILS = ("bitness='64' distroName='Ubuntu' distroVersion='22.04' familyName='Linux' "
           "prettyName='Ubuntu 22.04.3 LTS'")

LINUX = Definition(
    "db1", "4238a5a1-0000-4c4c-8d1e-0123456789ab", 8, 12 << 30, 4, annotation="asks <for> & gets", guest=Guest(
        "ubuntu64Guest", "Ubuntu Linux (64-bit)", {"distroName": "Ubuntu", "distroVersion": "22.04", "familyName": "Linux"}),
    disks=(Disk("2000", "Hard disk 1", 40 << 30, "scsi", "pvscsi", 0, 0),
           Disk("2001", "Hard disk 2", 512, "scsi", "pvscsi", 0, 1),
           Disk("2017", "Hard disk 3", 1 << 40, "scsi", "lsilogic", 1, 8, raw_device=True)),
    cds=(Cd("3002", "CD/DVD drive 1", "ide", "piix4", 1, 0, "[iso] debian.iso"),),
    networks=(Network("4000", "Network adapter 1", "vmxnet3", "00:50:56:9a:00:01", "VM Network"),
              Network("4001", "Network adapter 2", "sriov", "00:50:56:9a:00:02", "dvportgroup-77", False)),
    boot_order=("network 4000", "disk 2001", "cd"), tools=Tools(True, 12352),
    other_devices=(OtherDevice("VirtualPCIPassthrough", "PCI device 0"),))

WINDOWS = Definition(
    "win", "4238a5a1-0000-4c4c-8d1e-0123456789ac", 4, 8 << 30, 2, "efi", True, True, Guest("windows2019srv_64Guest"),
    disks=(Disk("2000", "Hard disk 1", 1 << 30, "scsi", "lsisas", 0, 0),
           Disk("31000", "Hard disk 2", 1 << 30, "nvme", "nvme", 0, 0),
           Disk("16000", "Hard disk 3", 1 << 30, "sata", "ahci", 0, 1)),
    cds=(Cd("16001", "CD/DVD drive 1", "sata", "ahci", 0, 0),),
    networks=(Network("4000", "Network adapter 1", "vmxnet3", "00:50:56:9a:00:03", "VM Network"),
              Network("4001", "Network adapter 2", "e1000", "00:50:56:9a:00:04", "Storage")))

OLD = Definition(
    "old", "4238a5a1-0000-4c4c-8d1e-0123456789ad", 1, 512 << 20, guest=Guest("winXPProGuest"),
    disks=(Disk("3000", "Hard disk 1", 1 << 30, "ide", "piix4", 0, 0),),
    cds=(Cd("3003", "CD/DVD drive 1", "ide", "piix4", 1, 1),),
    networks=(Network("4000", "Network adapter 1", "pcnet32", "00:0c:29:9a:00:03", "VM Network"),))

BSD = Definition(
    "bsd", "4238a5a1-0000-4c4c-8d1e-0123456789ae", 2, 1 << 30, firmware="efi", guest=Guest("freebsd13_64Guest"),
    disks=(Disk("2000", "Hard disk 1", 1 << 30, "scsi", "buslogic", 3, 15), Disk("2001", "Hard disk 2", 1 << 30, "", "", 0, 0)))


def every():
    return linux_bios(), windows_efi(), bare()


def linux_bios():
    """It has a snapshot, a raw device mapping, a device that is passed through, and two kinds of networks."""
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel
    device = vim.vm.device
    disk = device.VirtualDisk
    base = disk.FlatVer2BackingInfo(fileName="[ds one] db1/db1.vmdk", diskMode="persistent", thinProvisioned=True)
    switch = device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(
        port=vim.dvs.PortConnection(switchUuid="50", portgroupKey="dvportgroup-77"))
    devices = [
        device.VirtualIDEController(key=200, busNumber=0), device.VirtualIDEController(key=201, busNumber=1),
        device.VirtualPCIController(key=100, busNumber=0), device.VirtualKeyboard(key=600),
        device.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus="noSharing"),
        device.VirtualLsiLogicController(key=1001, busNumber=1, sharedBus="noSharing"),
        # The order is not that of the keys.
        disk(key=2001, deviceInfo=info("Hard disk 2"), controllerKey=1000, unitNumber=1, capacityInKB=0, capacityInBytes=512,
             backing=disk.FlatVer2BackingInfo(fileName="[ds one] db1/db1_1.vmdk", diskMode="independent_persistent")),
        disk(key=2000, deviceInfo=info("Hard disk 1"), controllerKey=1000, unitNumber=0, capacityInKB=40 << 20,
             capacityInBytes=40 << 30, backing=disk.FlatVer2BackingInfo(
                 fileName="[ds one] db1/db1-000001.vmdk", diskMode="persistent", thinProvisioned=True, parent=base)),
        disk(key=2017, deviceInfo=info("Hard disk 3"), controllerKey=1001, unitNumber=8, capacityInKB=1 << 30,
             capacityInBytes=1 << 40, backing=disk.RawDiskMappingVer1BackingInfo(
                 fileName="[ds one] db1/rdm.vmdk", compatibilityMode="physicalMode", diskMode="persistent")),
        device.VirtualCdrom(key=3002, deviceInfo=info("CD/DVD drive 1"), controllerKey=201, unitNumber=0,
                            connectable=connect(True), backing=device.VirtualCdrom.IsoBackingInfo(fileName="[iso] debian.iso")),
        device.VirtualVmxnet3(key=4000, deviceInfo=info("Network adapter 1"), macAddress="00:50:56:9A:00:01",
                              connectable=connect(True),
                              backing=device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")),
        device.VirtualSriovEthernetCard(key=4001, deviceInfo=info("Network adapter 2"), macAddress="00:50:56:9a:00:02",
                                        connectable=connect(False), backing=switch),
        device.VirtualPCIPassthrough(key=13000, deviceInfo=info("PCI device 0"))]
    boot = vim.vm.BootOptions
    return vim.vm.ConfigInfo(
        name="db1", uuid="4238a5a1-0000-4c4c-8d1e-0123456789ab", instanceUuid="5038", version="vmx-19", annotation="a note",
        guestId="ubuntu64Guest", guestFullName="Ubuntu Linux (64-bit)", firmware="bios",
        hardware=vim.vm.VirtualHardware(numCPU=8, numCoresPerSocket=4, memoryMB=12 << 10, device=devices),
        files=vim.vm.FileInfo(vmPathName="[ds one] db1/db1.vmx"), tools=vim.vm.ToolsConfigInfo(toolsVersion=12352),
        extraConfig=[vim.option.OptionValue(key="nvram", value="db1.nvram"),
                     vim.option.OptionValue(key="guestInfo.detailed.data", value=DETAILS)],
        bootOptions=boot(bootOrder=[boot.BootableEthernetDevice(deviceKey=4000), boot.BootableDiskDevice(deviceKey=2001),
                                    boot.BootableCdromDevice()]))


def windows_efi():
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel
    device = vim.vm.device
    devices = [
        device.VirtualLsiLogicSASController(key=1000, busNumber=0, sharedBus="noSharing"),
        device.VirtualNVMEController(key=31000, busNumber=0), device.VirtualAHCIController(key=15000, busNumber=0),
        device.VirtualTPM(key=11000), device.VirtualUSBXHCIController(key=14000, busNumber=0),
        *(device.VirtualDisk(key=key, controllerKey=controller, unitNumber=0, capacityInKB=1 << 20, capacityInBytes=1 << 30,
                             backing=device.VirtualDisk.FlatVer2BackingInfo(fileName="[a] b.vmdk", diskMode="persistent"))
          for key, controller in ((2000, 1000), (16000, 31000), (32000, 15000)))]
    return vim.vm.ConfigInfo(
        name="win", uuid="4238", instanceUuid="5038", version="vmx-19", guestId="windows2019srv_64Guest", firmware="efi",
        hardware=vim.vm.VirtualHardware(numCPU=2, numCoresPerSocket=2, memoryMB=4096, device=devices),
        files=vim.vm.FileInfo(vmPathName="[a] win.vmx"), bootOptions=vim.vm.BootOptions(efiSecureBootEnabled=True))


def bare():
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel
    disk = vim.vm.device.VirtualDisk
    return vim.vm.ConfigInfo(name="x", uuid="y", files=vim.vm.FileInfo(), hardware=vim.vm.VirtualHardware(
        numCPU=1, memoryMB=4, device=[disk(key=2000, capacityInKB=1024, backing=disk.FlatVer2BackingInfo())]))


def info(label):
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel
    return vim.Description(label=label, summary="")


def connect(at_start):
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel
    return vim.vm.device.VirtualDevice.ConnectInfo(startConnected=at_start, connected=True, allowGuestControl=True)
