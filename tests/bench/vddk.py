# SPDX-License-Identifier: BSD-3-Clause
#
# The vddk transport with the coalesce filter, compared with the transport alone. It uses the stand-in
# for VMware's library (tests/vddk), which is as slow as the real one is reported to be: a request takes
# 2 ms, a handle has up to four requests in flight, which is the default number of buffers of its
# asynchronous I/O, and all together get 140 MB/s. The gain with the real library has not been measured.
import json
import os
import subprocess
import time

from bench import Directory, Server, Table, module, run, seconds

K, M = 1 << 10, 1 << 20
SIZE = 512 * M
SOURCE = os.path.join(os.path.dirname(__file__), "..", "..")
COST = "2000 140 4\n"
COALESCE = "--filter=" + module("filter", "coalesce")


def sparse_file(path, size, extent):
    """Data and holes in turn, `extent` bytes each."""
    piece = os.urandom(extent)
    with open(path, "wb") as f:
        for at in range(0, size, 2 * extent):
            f.seek(at)
            f.write(piece)
        f.truncate(size)


class Vcenter:
    """The simulated vCenter with one disk, and the stand-in for VDDK with the same disk."""

    def __init__(self, directory, disk):
        self.directory, self.disk = directory, disk
        self.standin = directory / "standin"
        for name in ("access", "faults"):
            os.makedirs(f"{self.standin}/{name}")
        os.symlink(disk, f"{self.standin}/disk")
        with open(f"{self.standin}/cost", "w") as f:
            f.write(COST)
        os.makedirs(directory / "sdk/lib64")
        run("g++", "-std=c++20", "-O2", "-shared", "-fPIC", f"-I{SOURCE}",
            f"{SOURCE}/tests/vddk/standin.cpp", "-o", directory / "sdk/lib64/libvixDiskLib.so.8",
            "-pthread")
        with open(directory / "pass", "w") as f:
            f.write("s3cret")

    def __enter__(self):
        ready = self.directory / "ready"
        self.process = subprocess.Popen(
            [f"{SOURCE}/tests/vcenter/vcenter.py", "--directory", self.directory / "vc", "--ready",
             ready, "--vm", "/DC/vm/web1=vm-42", "--disk", f"2000={self.disk}"],
            stdout=subprocess.DEVNULL)
        while not os.path.exists(ready):
            if self.process.poll() is not None:
                raise SystemExit("the simulated vCenter did not start")
            time.sleep(0.02)
        with open(ready) as f:
            self.facts = json.load(f)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def server(self, *filters, options=()):
        return Server(*filters, module("plugin", "vsphere"), f"server={self.facts['host']}",
                      "user=administrator@vsphere.local", f"password=+{self.directory / 'pass'}",
                      f"cafile={self.facts['cafile']}", "vm=moref=vm-42", "disk=2000",
                      "transport=vddk", f"libdir={self.directory / 'sdk'}", *options,
                      env={**os.environ, "VDDK_STANDIN": self.standin})


def nbdcopy(*options):
    return lambda uri: run("nbdcopy", *options, uri, "null:")


def qemu_img(uri):
    with Server("null", f"size={SIZE}") as sink:
        run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", uri, sink.uri())


table = Table("vddk")
for name, extent in (("64 KiB", 64 * K), ("512 KiB", 512 * K), ("4 MiB", 4 * M)):
    clients = [("nbdcopy", nbdcopy(), ()), ("nbdcopy --synchronous", nbdcopy("--synchronous"), ()),
               ("qemu-img convert, merged", qemu_img, ("coalesce-extents=merged",))]
    cases = [(f"{client}, {name} extents, stand-in for VDDK", run_client, options)
             for client, run_client, options in clients]
    if not any(table.selected(case) for case, _, _ in cases):
        continue
    with Directory() as d:
        sparse_file(d / "disk", SIZE, extent)
        with Vcenter(d, d / "disk") as vcenter:
            def measured(client, *filters, options=()):
                def once():
                    with vcenter.server(*filters, options=options) as server:
                        return seconds(client, server.uri())
                return once
            for case, client, options in cases:
                table.compare(case, "without coalesce", measured(client, COALESCE, options=options),
                              measured(client), faster=True, at_least=0.9)
table.end()
