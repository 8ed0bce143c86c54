# SPDX-License-Identifier: BSD-3-Clause
"""The base of the tests over HTTPS: a VM in a folder, and its datacenter in another folder."""

import base64
import os
import tempfile
import unittest

from unit.client import FaultSeen, Simulator

K64 = 65536
SIZE = 64 << 20
VM = ("VirtualMachine", "vm-42")
FLAT = "/folder/web1/web1-flat.vmdk?dcPath=F%2FDC0&dsName=datastore1"
BASIC = {"Authorization": "Basic " + base64.b64encode(b"administrator@vsphere.local:s3cret").decode()}


class Case(unittest.TestCase):
    arguments = ()

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.disk = os.path.join(self.directory, "disk.img")
        with open(self.disk, "wb") as file:
            file.truncate(SIZE)
            file.seek(2 * K64)
            file.write(b"a" * K64 * 3)
            file.seek(40 << 20)
            file.write(b"b" * K64)
        self.sim = Simulator(self.directory, "--vm", "/F/DC0/vm/dir%2fx/web1=vm-42",
                             "--disk", f"2000={self.disk}", "--page", "16M", "--task-ms", "40",
                             *self.arguments)
        self.addCleanup(lambda: self.sim.process.poll() is None and self.sim.close())

    def fault(self, kind, function, *arguments):
        with self.assertRaises(FaultSeen) as seen:
            function(*arguments)
        self.assertEqual(seen.exception.kind, kind)
        return seen.exception.body

    def get(self, path=FLAT, **headers):
        return self.sim.request("GET", path, headers=BASIC | {k.replace("_", "-"): v
                                                              for k, v in headers.items()})
