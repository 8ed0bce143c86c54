# SPDX-License-Identifier: BSD-3-Clause
#
# The https transport with the coalesce filter, compared with nbdkit-curl-plugin on the same HTTPS server
# over as many connections; and the time until the first bytes of a large delta can be read.
#
# The simulated vCenter answers the API and issues tickets for an ESXi host. That host is a small server
# in C (https_server.c), since the simulator in Python would be the limit. Everything runs on one machine
# and shares its processors, with TLS at both ends. A network and the disks of a host are not measured.
import json
import time

from bench import Directory, Server, Table, module, random_file, run, seconds
from parts.vcenter import Vcenter

DELTA, COALESCE = (f"--filter={module('filter', name)}" for name in ("delta", "coalesce"))
M = 1 << 20
SIZE = 256 * M
AREAS, AREA = 100_000, 64 << 10


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
