# SPDX-License-Identifier: BSD-3-Clause
"""The command line."""

import argparse
import dataclasses
import os


@dataclasses.dataclass
class VmOptions:
    """The options for one VM."""
    path: str
    moref: str
    disks: list = dataclasses.field(default_factory=list)  # (key, raw file)
    datastore: str | None = None  # None: that of --datastore
    directory: str | None = None  # None: as its name


class AddMachine(argparse.Action):
    """--vm PATH=MOREF: another VM."""

    def __call__(self, parser, namespace, values, option_string=None):
        path, equals, moref = values.rpartition("=")
        if not equals or not path or not moref:
            parser.error(f"--vm {values}: must be PATH=MOREF")
        namespace.vm = (namespace.vm or []) + [VmOptions(path, moref)]


class AddDisk(argparse.Action):
    """--disk KEY=RAWFILE: a disk of the last --vm."""

    def __call__(self, parser, namespace, values, option_string=None):
        key, _, file = values.partition("=")
        if not namespace.vm:
            parser.error(f"--disk {values}: must follow the --vm that has it")
        if not key.isdecimal() or not os.path.isfile(file):
            parser.error(f"--disk {values}: must be KEY=RAWFILE, of an existing file")
        if os.path.getsize(file) % 512:
            parser.error(f"--disk {values}: the size is not a multiple of 512")
        namespace.vm[-1].disks.append((int(key), os.path.abspath(file)))


class SetVmOption(argparse.Action):
    """--vm-datastore NAME, --vm-directory NAME: for the last --vm."""

    def __call__(self, parser, namespace, values, option_string=None):
        if not namespace.vm:
            parser.error(f"{option_string} {values}: must follow the --vm that it is for")
        setattr(namespace.vm[-1], self.dest.removeprefix("vm_"), values)


def size(text):
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:].upper(), 1)
    number = int(text if factor == 1 else text[:-1]) * factor
    if number < 0:
        raise ValueError(f"{text}: is negative")
    return number


def positive_size(text):
    number = size(text)
    if number == 0:
        raise ValueError
    return number


def parse(arguments, description):
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", required=True, help="for certificate, log and scratch files")
    parser.add_argument("--ready", required=True, metavar="FILE", help="written when the simulator listens")
    parser.add_argument("--vm", required=True, action=AddMachine, metavar="PATH=MOREF")
    parser.add_argument("--disk", action=AddDisk, metavar="KEY=RAWFILE", help="of the last --vm")
    parser.add_argument("--datastore", default="datastore1", metavar="NAME")
    parser.add_argument("--vm-datastore", action=SetVmOption, metavar="NAME",
                        help="of the last --vm (default: that of --datastore)")
    parser.add_argument("--vm-directory", action=SetVmOption, metavar="NAME",
                        help="of the files of the last --vm (default: its name)")
    parser.add_argument("--user", default="administrator@vsphere.local")
    parser.add_argument("--password", default="s3cret")
    parser.add_argument("--page", type=positive_size, default=256 << 20, metavar="BYTES",
                        help="described by one QueryChangedDiskAreas answer (default 256M)")
    parser.add_argument("--delay-ms", type=int, default=0, metavar="N", help="per /folder request")
    parser.add_argument("--task-ms", type=int, default=100, metavar="N", help="duration of a task (100)")
    parser.add_argument("--esxi", action="store_true", help="be an ESXi host instead of a vCenter")
    parser.add_argument("--host", action="store_true", help="run the VMs on a simulated ESXi host")
    parser.add_argument("--hosts", type=int, default=1, metavar="N",
                        help="with --host: of N hosts, in turn; all of them are the same server")
    parser.add_argument("--host-name", metavar="HOST:PORT", help="run the VMs on another ESXi host")
    parser.add_argument("--no-cbt", action="store_true", help="CBT is off at the start")
    return parser.parse_args(arguments)
