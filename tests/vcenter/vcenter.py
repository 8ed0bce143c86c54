#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A simulated vCenter: enough of the vSphere API to copy the disks of a VM with changed block tracking.

  vcenter.py --directory DIR --ready FILE \\
             --vm /DC0/vm/folder/web1=vm-42 --disk 2000=disk.img [--disk ...] [--vm ... --disk ...]

It listens on a free port of 127.0.0.1 with a certificate made for this run. When it listens, FILE has
  {"host": "127.0.0.1:PORT", "cafile": ..., "thumbprint": SHA-1, "thumbprint_sha256": ...}
Every request is logged in DIR/vcenter.log, without passwords. SIGTERM ends it.

THE MODEL. VMs are powered on, with CBT (unless --no-cbt). A disk's live content is its raw file; after
the start only the simulator may write it: use the controls below. Zero blocks are unallocated, as on
a thin disk. A snapshot freezes all disks of the VM at once; /folder/VM/VM-flat.vmdk then has the bytes
frozen by the oldest snapshot, for that is whose base file it is; without a snapshot a running VM's
file is locked (500). The second disk of a VM is VM_1.vmdk. A second snapshot has a -000001.vmdk with
a parent, whose -delta.vmdk is not simulated (404). CBT switched on for a running VM by ReconfigVM_Task
takes effect at the next stun: after a snapshot is created or removed. Tasks take --task-ms and must be
polled; a VM has one at a time (TaskInProgress). An answer of QueryChangedDiskAreas describes --page
bytes at most, and at most 2000 areas.

With --host the VMs run on an ESXi host: another port with a certificate of its own, which serves
/folder (without dcPath) to those who bring a ticket of AcquireGenericServiceTicket for that very file.

SOAP METHODS. RetrieveServiceContent Login Logout FindByInventoryPath FindByUuid CreateContainerView
DestroyView RetrieveProperties RetrievePropertiesEx ContinueRetrievePropertiesEx (TraversalSpec,
SelectionSpec) ReconfigVM_Task (changeTrackingEnabled) CreateSnapshot_Task RemoveSnapshot_Task
RemoveAllSnapshots_Task ConsolidateVMDisks_Task QueryChangedDiskAreas AcquireGenericServiceTicket. Others: MethodNotFound.

CONTROLS, for tests: GET or POST https://HOST/_test/NAME?arguments, answered in JSON, no login. vm=MOREF
and disk=KEY may be left out where there is only one; numbers may be 0x...
  write   vm= disk= offset=            the guest writes the body of the request; or with
          length= byte=                so many of that byte
  unmap   vm= disk= offset= length=    the guest trims: zero, changed, whole blocks not allocated
  import  vm= disk= file=PATH          the guest writes where PATH differs, in blocks of 64 KiB, and
                                       trims the blocks that became holes in PATH
  lie     vm= disk= offset= length= byte=   a change that CBT does not record
  touch   vm= disk= count= every=2     of every so many blocks the first is said to be allocated and
                                       changed, though nothing is written: for maps of a million areas
  grow    vm= disk= size=              the disk gets bigger
  reset   vm= disk=                    CBT is reset: a new UUID; old changeIds are of no use
  cbt     vm= on=0|1                   CBT off or on, at once
  power   vm= on=0|1
  template vm= on=0|1                  config.template, only shown
  mode    vm= disk= mode=independent_persistent   backing.diskMode, only shown
  backing vm= disk= rdm= sharing=      a raw device mapping (physicalMode, virtualMode), how the disk is
          datastore=0|1                shared (sharingMultiWriter), and whether its backing says which
                                       datastore it is on (1), only shown
  bus     vm= sharing=physicalSharing  of the SCSI controller, only shown
  consolidation vm= needed=0|1         runtime.consolidationNeeded, until ConsolidateVMDisks_Task
  expire                               all sessions and tickets end
  tickets once=0|1                     whether a ticket is good for one request only
  state                                VMs, snapshots, disks; sessions and logins; calls per SOAP
                                       method; of /folder the requests answered with bytes, the bytes,
                                       and the most requests at once
  fault   where= kind= [count=1] [after=0] [task=1] [key=] [message=] [seconds=30]
          The next COUNT calls, after AFTER good ones, go wrong. where=METHOD: kind is the xsi:type of
          the fault (NotAuthenticated, SystemError, TaskInProgress, InvalidArgument with key=PROPERTY,
          FileFault with the faultMessage key= and message= ...); task=1: the method succeeds, its task
          fails; kind=503: that HTTP status and no SOAP. where=folder, or flat for -flat.vmdk only, or
          host for the ESXi host: kind is 401, 403, 404, 500, 503, reset (half, then a TCP reset), short
          (half, then the end), stall (no answer for seconds=, then the end), ignore-range (200 and
          everything).
  nofault                              forgets what was ordered
"""

import argparse
import dataclasses
import json
import os
import signal
import sys
import threading

sys.dont_write_bytecode = True  # the sources stand in a source tree

# pylint: disable=wrong-import-position
from simulator.http import certificate  # noqa: E402
from simulator.model.inventory import Inventory  # noqa: E402
from simulator.service import Service  # noqa: E402
from simulator.http.server import Server  # noqa: E402


@dataclasses.dataclass
class Machine:
    """What the options say of one."""
    path: str
    moref: str
    disks: list = dataclasses.field(default_factory=list)  # (key, raw file)
    datastore: str | None = None  # None: that of --datastore
    directory: str | None = None  # None: as its name


class AddMachine(argparse.Action):
    """--vm PATH=MOREF: a machine without disks yet."""

    def __call__(self, parser, namespace, values, option_string=None):
        path, equals, moref = values.rpartition("=")
        if not equals or not path or not moref:
            parser.error(f"--vm {values}: must be PATH=MOREF")
        namespace.vm = (namespace.vm or []) + [Machine(path, moref)]


class AddDisk(argparse.Action):
    """--disk KEY=RAWFILE: of the last --vm."""

    def __call__(self, parser, namespace, values, option_string=None):
        key, _, file = values.partition("=")
        if not namespace.vm:
            parser.error(f"--disk {values}: must follow the --vm that has it")
        if not key.isdecimal() or not os.path.isfile(file):
            parser.error(f"--disk {values}: must be KEY=RAWFILE, of an existing file")
        if os.path.getsize(file) % 512:
            parser.error(f"--disk {values}: the size is not a multiple of 512")
        namespace.vm[-1].disks.append((int(key), os.path.abspath(file)))


class SetPlace(argparse.Action):
    """--vm-datastore NAME, --vm-directory NAME: of the last --vm."""

    def __call__(self, parser, namespace, values, option_string=None):
        if not namespace.vm:
            parser.error(f"{option_string} {values}: must follow the --vm that is there")
        setattr(namespace.vm[-1], self.dest.removeprefix("vm_"), values)


def size(text):
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:].upper(), 1)
    number = int(text if factor == 1 else text[:-1]) * factor
    if number <= 0:
        raise ValueError
    return number


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", required=True, help="for certificate, log and scratch files")
    parser.add_argument("--ready", required=True, metavar="FILE", help="written when it listens")
    parser.add_argument("--vm", required=True, action=AddMachine, metavar="PATH=MOREF")
    parser.add_argument("--disk", action=AddDisk, metavar="KEY=RAWFILE", help="of the last --vm")
    parser.add_argument("--datastore", default="datastore1", metavar="NAME")
    parser.add_argument("--vm-datastore", action=SetPlace, metavar="NAME",
                        help="where the last --vm is, if not on the other ones' datastore")
    parser.add_argument("--vm-directory", action=SetPlace, metavar="NAME",
                        help="of the last --vm, if it is not called as the machine")
    parser.add_argument("--user", default="administrator@vsphere.local")
    parser.add_argument("--password", default="s3cret")
    parser.add_argument("--page", type=size, default=256 << 20, metavar="BYTES",
                        help="described by one QueryChangedDiskAreas answer (default 256M)")
    parser.add_argument("--delay-ms", type=int, default=0, metavar="N", help="per /folder request")
    parser.add_argument("--task-ms", type=int, default=100, metavar="N", help="a task's time (100)")
    parser.add_argument("--esxi", action="store_true", help="be an ESXi host instead of a vCenter")
    parser.add_argument("--host", action="store_true", help="the VMs run on an ESXi host, simulated")
    parser.add_argument("--host-name", metavar="HOST:PORT", help="that is said to be elsewhere")
    parser.add_argument("--no-cbt", action="store_true", help="CBT is off at first")
    return parser.parse_args(arguments)


def write_ready(path, facts):
    """Whole or not at all: a test waits for the file to appear."""
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(facts, file)
        file.write("\n")
    os.rename(path + ".tmp", path)


def main():
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)  # in every thread: the main one waits for them
    options = parse(sys.argv[1:])
    directory = os.path.abspath(options.directory)
    os.makedirs(directory, exist_ok=True)
    inventory = Inventory(directory, options.datastore, options.esxi)
    for vm in options.vm:
        inventory.add_machine(vm.path, vm.moref, vm.disks, not options.no_cbt, vm.datastore,
                              vm.directory)
    cafile, chain, key, sha1, sha256 = certificate.make(directory)
    servers = []
    service = Service(inventory, os.path.join(directory, "vcenter.log"), options.user,
                      options.password, options.page, options.delay_ms, options.task_ms)
    server = Server(service, chain, key)
    servers.append(server)
    if options.host or options.host_name:
        os.makedirs(os.path.join(directory, "host"), exist_ok=True)
        _, host_chain, host_key, service.tickets.thumbprint, _ = certificate.make(
            os.path.join(directory, "host"))
        servers.append(Server(service, host_chain, host_key, on_host=True))
        inventory.add_host(options.host_name or f"127.0.0.1:{servers[-1].server_address[1]}")
    for one in servers:
        threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    write_ready(options.ready, {"host": f"127.0.0.1:{server.server_address[1]}", "cafile": cafile,
                                "thumbprint": sha1, "thumbprint_sha256": sha256})
    signal.sigwait(ending)
    service.closing.set()
    for one in servers:
        one.shutdown()


if __name__ == "__main__":
    main()
