# SPDX-License-Identifier: BSD-3-Clause
"""A simulated vCenter, and a fast server in C as its ESXi host."""
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

from bench import module, run

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VSPHERE = module("plugin", "vsphere")


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

    def parameters(self, *more):
        return [f"server={self.facts['host']}", "user=administrator@vsphere.local",
                f"password=+{self.directory / 'pass'}", f"cafile={self.facts['cafile']}", "vm=web1",
                "disk=2000", *more]

    def plugin(self, *more):
        return [VSPHERE, *self.parameters(*more)]

    def curl(self):
        return ["curl", f"https://127.0.0.1:{self.port}/folder/web1/web1-flat.vmdk?dsName=datastore1",
                f"cainfo={self.directory / 'vc'}/host/ca.pem"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
            process.wait()
