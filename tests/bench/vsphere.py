# SPDX-License-Identifier: BSD-3-Clause
#
# The https transport with the coalesce filter, compared with nbdkit-curl-plugin on the same HTTPS server
# over as many connections; and the time until the first bytes of a large delta can be read.
#
# The simulated vCenter answers the API and issues tickets for an ESXi host. That host is a small server
# in C (https_server.c), since the simulator in Python would be the limit. Everything runs on one machine
# and shares its processors, with TLS at both ends. A network and the disks of a host are not measured.
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import ssl

from bench import Directory, Server, Table, module, random_file, run, seconds

HERE = os.path.dirname(os.path.abspath(__file__))
DELTA, COALESCE = (f"--filter={module('filter', name)}" for name in ("delta", "coalesce"))
VSPHERE = module("plugin", "vsphere")
M = 1 << 20
SIZE = 256 * M
AREAS, AREA = 100_000, 64 << 10


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


class Vcenter:
    """The simulator, and the server in C as the ESXi host if there is a file for it to serve."""

    def __init__(self, directory, disk, host=None):
        self.directory, self.port = directory, free_port()
        self.processes = []
        arguments = ["--host-name", f"127.0.0.1:{self.port}"] if host else []
        self._start([sys.executable, os.path.join(HERE, "..", "vcenter", "vcenter.py"), "--directory",
                     directory / "vc", "--ready", directory / "vc.json", "--vm", "/DC0/vm/web1=vm-42",
                     "--disk", f"2000={disk}", *arguments], directory / "vc.json")
        with open(directory / "vc.json", encoding="utf-8") as file:
            self.facts = json.load(file)
        with open(directory / "pass", "w", encoding="ascii") as file:
            file.write("s3cret")
        if host:
            # It serves the live disk, which equals the snapshot, since nothing writes to it.
            run("cc", "-O2", "-o", directory / "https_server", os.path.join(HERE, "https_server.c"),
                "-lssl", "-lcrypto", "-lpthread")
            pem = directory / "vc" + "/host/"
            self._start([directory / "https_server", str(self.port), pem + "server.pem",
                         pem + "server.key", host, directory / "host.ready"], directory / "host.ready")

    def _start(self, command, ready):
        with open(self.directory / "log", "a", encoding="utf-8") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        deadline = time.monotonic() + 60
        while not os.path.exists(ready):
            if self.processes[-1].poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command}: {open(self.directory / 'log').read()}")
            time.sleep(0.01)

    def control(self, call):
        trusted = ssl.create_default_context(cafile=self.facts["cafile"])
        with urllib.request.urlopen(f"https://{self.facts['host']}/_test/{call}", context=trusted) as answer:
            return json.load(answer)

    def plugin(self, *more):
        return [VSPHERE, f"server={self.facts['host']}", "user=administrator@vsphere.local",
                f"password=+{self.directory / 'pass'}", f"cafile={self.facts['cafile']}", "vm=web1",
                "disk=2000", *more]

    def curl(self):
        return ["curl", f"https://127.0.0.1:{self.port}/folder/web1/web1-flat.vmdk?dsName=datastore1",
                f"cainfo={self.directory / 'vc'}/host/ca.pem"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
            process.wait()


def copy(server, *options):
    return seconds(run, "nbdcopy", "--allocated", *options, server.uri(), "null:")


def theirs(vcenter, connections):
    """The best time of the curl plugin with requests of 1, 4 and 16 MiB. It has one HTTPS connection
    for each NBD connection."""
    with Server("-r", *vcenter.curl()) as server:
        return min(copy(server, f"--connections={connections}", f"--threads={connections}",
                        f"--requests={requests}", f"--request-size={size}")
                   for size, requests in ((1 * M, 4), (4 * M, 4), (16 * M, 1)))


def ours(vcenter, connections):
    with Server(COALESCE, *vcenter.plugin(f"connections={connections}")) as server:
        before = vcenter.control("state")["folder"]["bytes"]
        best = min(copy(server, f"--connections={connections}", f"--threads={connections}",
                        f"--request-size={size}") for size in (1 * M, 4 * M, 16 * M))
        if vcenter.control("state")["folder"]["bytes"] != before:
            raise SystemExit("the bytes came through the simulator, not from the server in C")
        return best


def first_bytes(vcenter, since):
    """Seconds from the start of the server until the first changed bytes are read."""
    begin = time.monotonic()
    with Server(DELTA, COALESCE, *vcenter.plugin(f"since={since}")) as server:
        run("/usr/bin/python3", "-c", """
import nbd, sys
client = nbd.NBD()
client.add_meta_context("base:allocation")
client.connect_uri(sys.argv[1])
extents = []
client.block_status(1 << 30, 0, lambda context, offset, entries, error: extents.extend(entries))
assert extents[:4] == [65536, 0, 65536, 3], extents[:4]
assert len(client.pread(65536, 0)) == 65536
""", server.uri())
        return time.monotonic() - begin


table = Table("vsphere")

with Directory() as directory:
    random_file(directory / "disk", SIZE)
    with Vcenter(directory, directory / "disk", host=directory / "disk") as vcenter:
        for connections in (1, 2, 4):
            table.compare(f"{SIZE // M} MiB over {connections} connections, with coalesce",
                          "nbdkit-curl-plugin, the best of three", lambda: ours(vcenter, connections),
                          lambda: theirs(vcenter, connections), at_least=0.9, faster=True)

with Directory() as directory:
    case = f"the first bytes of a delta of {AREAS} areas"
    if table.selected(case):
        with open(directory / "disk", "wb") as disk:
            disk.truncate(2 * AREAS * AREA)
        with Vcenter(directory, directory / "disk") as vcenter:
            with Server(*vcenter.plugin()) as server:
                info = json.loads(run("nbdinfo", "--json", server.uri()))
                since = json.loads(info["exports"][0]["description"])["checkpoint"]
            vcenter.control(f"touch?count={AREAS}")
            values = [first_bytes(vcenter, since) for _ in range(table.options.runs)]
            table.row(case, "-", f"{min(values):.2f} s", "-", values, at_most=2, form="{:.2f} s")

table.end()
