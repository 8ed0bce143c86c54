#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A simulated vCenter: enough of the vSphere API to copy the disks of a VM with changed block tracking.

  vcenter.py --directory DIR --ready FILE \\
             --vm /DC0/vm/folder/web1=vm-42 --disk 2000=disk.img [--disk ...] [--vm ... --disk ...]

It listens on a free port of 127.0.0.1 with a certificate made for this run. FILE is written when it
listens:
  {"host": "127.0.0.1:PORT", "cafile": ..., "thumbprint": SHA-1, "thumbprint_sha256": ...}
Requests are logged in DIR/vcenter.log, without passwords. SIGTERM ends it.

THE MODEL. VMs are powered on, with CBT unless --no-cbt is given. The live content of a disk is its raw
file, which only the simulator may write after the start: use the controls below. Zero blocks are
unallocated, as on a thin disk. A snapshot is of all disks of the VM at the same instant.
/folder/VM/VM-flat.vmdk is the base VMDK. It has the content as of the oldest snapshot. Without a snapshot,
the file of a running VM is locked (500). The second disk of a VM is VM_1.vmdk. A second snapshot has a
-000001.vmdk with a parent; its -delta.vmdk is not simulated (404). When ReconfigVM_Task switches CBT on for
a running VM, this takes effect at the next stun, which is after a snapshot is created or removed. Tasks
take --task-ms and must be polled. A VM runs one at a time (TaskInProgress). An answer of
QueryChangedDiskAreas describes at most --page bytes and at most 2000 areas.

/folder also has the VM.vmx, VM.vmxf and VM.nvram, whose names config.files and layoutEx tell.

A VM that is switched off by its guest after ShutdownGuest is clean; one that is switched off otherwise is not. What its
guest writes by itself is told by the control "writer". The N-th block that a writer writes has the same place and content
in each run.

With --host the VMs run on an ESXi host. It is another port with a certificate of its own, which serves
/folder (without dcPath) to clients with a ticket of AcquireGenericServiceTicket for the file.

SOAP METHODS. RetrieveServiceContent Login Logout FindByInventoryPath FindByUuid CreateContainerView
DestroyView RetrieveProperties RetrievePropertiesEx ContinueRetrievePropertiesEx (TraversalSpec,
SelectionSpec) ReconfigVM_Task (changeTrackingEnabled) CreateSnapshot_Task RemoveSnapshot_Task
RemoveAllSnapshots_Task ConsolidateVMDisks_Task QueryChangedDiskAreas AcquireGenericServiceTicket
PowerOnVM_Task PowerOffVM_Task ShutdownGuest Fetch.
All others: MethodNotFound.

CONTROLS for tests: GET or POST https://HOST/_test/NAME?arguments. The answer is JSON; no login is needed.
vm=MOREF and disk=KEY may be omitted if there is only one. Numbers may be 0x...
  write   vm= disk= offset=            the guest writes the body of the request, or, with
          length= byte=                these, so many bytes of one value
  unmap   vm= disk= offset= length=    the guest trims: the range becomes zeroes, which are
                                       changed, and whole blocks are no longer allocated
  import  vm= disk= file=PATH          the guest writes the blocks of 64 KiB that differ from PATH,
                                       and trims those that are holes in PATH
  lie     vm= disk= offset= length= byte=   a change that CBT does not record
  touch   vm= disk= count= every=2     marks the first of every so many blocks as allocated and
                                       changed without writing it, for maps of a million areas
  grow    vm= disk= size=              the disk grows
  disk    vm= key= file=PATH           a new disk, whose content is that raw file
  reset   vm= disk=                    CBT is reset: a new UUID; old changeIds are invalid
  cbt     vm= on=0|1                   CBT off or on, without a stun
  power   vm= on=0|1|suspended at=METHOD   somebody switches the VM on or off, or suspends it: now, or just before
                                       that method is called next
  tools   vm= running=0|1              whether VMware Tools run in the guest; without them ShutdownGuest fails
  shutdown vm= seconds=N|never         how long the guest takes to shut down after ShutdownGuest (0)
  question vm= text=                   PowerOnVM_Task does not end while there is a question; empty: none
  keep    vm= directory=DIR            at each power-off DIR/KEY.img becomes a copy of each disk as it is then
  writer  vm= disk=                    a program in the guest that overwrites areas of the disk over and over: those of the
          files=/A,/B                  files of the ext4 file system that is on the disk, which is marked as mounted while the
                                       VM is on, and clean after the guest has shut down; or else those of the body,
                                       [[offset, length], ...] in JSON
          rate=BYTES                   a second, while the VM is on
          rounds=BYTES,BYTES,...       so many after each snapshot that is taken; the last number stays
          last=BYTES                   so many when the guest shuts down
  nowriter vm=                         the guest's programs end
  configure vm=                        what the VM is made of: the body is JSON, see simulator/model/configuration.py
  template vm= on=0|1                  config.template
  mode    vm= disk= mode=independent_persistent   backing.diskMode
  backing vm= disk= rdm= sharing=      a raw device mapping (physicalMode, virtualMode), the sharing
          datastore=0|1                (sharingMultiWriter), whether the backing names its
          key=ID                       datastore (default 1), and the key with which vSphere
                                       encrypts the disk (default: none)
  bus     vm= sharing=physicalSharing  of the SCSI controller
  consolidation vm= needed=0|1         runtime.consolidationNeeded, until ConsolidateVMDisks_Task;
          chain=0|1                    disks that are chains of files without a snapshot
  expire                               all sessions and tickets end
  tickets once=0|1 thumbprint=         whether a ticket is valid for one request only; the thumbprint that
                                       comes with it, in place of the host's own
  answers objects=N                    a property collector's answer has N objects at most
  gather  requests=N                   requests for /folder wait until there were so many at the same time,
                                       counted anew; a minute at most
  hold    offset= length=              requests for parts of /folder's files that begin there wait until this:
  release                              ten minutes at most
  pace    task-ms=N                    as --task-ms, also for tasks that run
  state                                VMs, snapshots, disks; sessions and logins; calls of each SOAP
                                       method; for /folder the requests answered with bytes, the
                                       bytes, and the maximum of requests at the same time; most_snapshots: at the
                                       same time, of all VMs and of those on each host
  evaluate of=EXPRESSION vm=vm-42      a Python expression of the state s, and of that VM's part of it, v;
                                       the answer is its text
  fault   where= kind= [count=1] [after=0] [task=1] [key=] [message=] [seconds=30] [behind=] [offset= length=]
          After AFTER more calls, COUNT calls fail; with behind=METHOD only calls after that method's are
          counted, and fail. where=METHOD: kind is the xsi:type of
          the fault (NotAuthenticated, SystemError, TaskInProgress, InvalidArgument with key=PROPERTY,
          FileFault with the faultMessage key= and message= ...); task=1: the method succeeds, its task
          fails; kind=503: that HTTP status and no SOAP; kind=stall: the method is called after seconds=;
          kind=missing: a property collector tells that nothing may be seen, with the fault key=;
          kind=huge: the answer is so many MiB (seconds=) of empty elements; kind=lost: the method is called,
          its task ends, and the connection ends without an answer. where=folder, or flat for
          -flat.vmdk only, or host for the ESXi host: kind is 401, 403, 404, 500, 503, reset (half, then a
          TCP reset), short (half, then the end), shorter (a whole body of half the range), stall (no answer for
          seconds=, then the end), ignore-range (200 and everything). offset= length=: of requests for parts of
          files only those for this one. where=handshake: kind=drop, a new connection, but not one to the ESXi host, ends
          before the TLS handshake; connections for controls count too.
  nofault                              removes all faults that were injected
"""

import json
import os
import signal
import sys
import threading

sys.dont_write_bytecode = True  # keeps the source tree clean

# pylint: disable=wrong-import-position
from simulator.http import certificate  # noqa: E402
from simulator.http.server import Server  # noqa: E402
from simulator.model.inventory import Inventory  # noqa: E402
from simulator.options import parse  # noqa: E402
from simulator.service import Service  # noqa: E402


def write_ready(path, facts):
    """Atomically, as a test waits for the file to appear."""
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(facts, file)
        file.write("\n")
    os.rename(path + ".tmp", path)


def main():
    end_signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, end_signals)  # in all threads; the main thread waits for them
    options = parse(sys.argv[1:], __doc__)
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
        inventory.add_hosts(options.host_name or f"127.0.0.1:{servers[-1].server_address[1]}", options.hosts)
    for one in servers:
        threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    write_ready(options.ready, {"host": f"127.0.0.1:{server.server_address[1]}", "cafile": cafile,
                                "thumbprint": sha1, "thumbprint_sha256": sha256})
    signal.sigwait(end_signals)
    service.tasks.close()
    for one in servers:
        one.shutdown()


if __name__ == "__main__":
    main()
