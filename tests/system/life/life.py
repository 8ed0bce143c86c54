# SPDX-License-Identifier: BSD-3-Clause
"""A plan of three machines of a simulated vCenter, in the directory of a test: its nights, and what is restored of them."""
import filecmp
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request

SOURCE, BUILD = os.environ["SOURCE"], os.environ["BUILD"]
sys.path.insert(0, os.path.join(SOURCE, "tests", "system"))
from runs_of_command import said, wait_until  # noqa: E402

COMMAND = [sys.executable, "-B", os.path.join(SOURCE, "tests", "system", "life", "at.py")]
DAY = 86400
M = 1 << 20

PLAN = """
images = "images/{{vm}}/{{disk}}-{{time}}.qcow2"
states = "states/{{vm}}"
metrics = "metrics/replica.prom"
reconnect-for = "1s"
[[also]]
uri = "nbd+unix:///{{vm}}-{{disk}}?socket={directory}/dr.sock"
name = "dr"
parameters = ["fanout-retries=1", "fanout-retry-delay=0.1"]
[keep]
last = 2
weekly = 1
[limits]
per-host = 2
[vcenter.main]
server = "{host}"
user = "administrator@vsphere.local"
password-file = "vc.pass"
cafile = "{cafile}"
parameters = ["enable-cbt=yes"]
[[folder]]
path = "/DC0/vm/prod"
"""


class Life:
    """vCenter runs, with these machines: {name: (moref, [key of a disk])}, and the destination "dr" as well."""

    def __init__(self, machines, seed):
        with open("vcenter.json", encoding="utf-8") as file:
            self._vcenter = json.load(file)
        self._context = ssl.create_default_context(cafile=self._vcenter["cafile"])
        self.machines = machines
        self.random = random.Random(seed)
        self.day = 0
        self._to_noon = DAY / 2 - time.time() % DAY
        self._dr = None
        os.makedirs("metrics", exist_ok=True)
        with open("plan.toml", "w", encoding="utf-8") as file:
            file.write(PLAN.format(directory=os.getcwd(), **self._vcenter))

    @property
    def ahead(self):
        """Seconds between the clock and that of the day, which was at noon when the test began: no run lasts over midnight."""
        return self.day * DAY + self._to_noon

    # ---- The source ----

    def control(self, name, data=None, **arguments):
        query = urllib.parse.urlencode(arguments)
        url = f"https://{self._vcenter['host']}/_test/{name}?{query}"
        with urllib.request.urlopen(url, data, timeout=60, context=self._context) as answer:
            return json.load(answer)

    def disks(self, only=None):
        """(machine, moref, disk)"""
        for name, (moref, keys) in self.machines.items():
            if only in (None, name):
                yield from ((name, moref, key) for key in keys)

    def guests_write(self):
        for name, moref, key in self.disks():
            size = os.path.getsize(live(name, key))
            for _ in range(self.random.randrange(1, 4)):
                length = self.random.randrange(1, 300000)
                at = self.random.randrange(size - length)
                self.control("write", self.random.randbytes(length), vm=moref, disk=key, offset=at)
            at = self.random.randrange(size // 65536) * 65536
            self.control("unmap", vm=moref, disk=key, offset=at, length=65536)

    def keep_reference(self):
        """Of what the disks hold now. Returns the name under which it is compared with what is restored."""
        name = f"reference-{self.day}"
        os.makedirs(name)
        for machine, _, key in self.disks():
            subprocess.run(["cp", "--sparse=always", live(machine, key), f"{name}/{machine}-{key}"], check=True)
        return name

    # ---- The destination ----

    def start_dr(self):
        with open("dr.log", "ab") as log:
            self._dr = subprocess.Popen(["nbdkit", "-f", "-U", "dr.sock", "-P", "dr.ready", "file", "dir=dr"], stderr=log)
        with open("dr.pid", "w", encoding="ascii") as file:  # the bats test ends it if this fails
            file.write(str(self._dr.pid))
        wait_until(lambda: os.path.exists("dr.ready"))

    def stop_dr(self):
        self._dr.terminate()
        self._dr.wait()
        for file in ("dr.ready", "dr.sock", "dr.pid"):
            if os.path.exists(file):
                os.unlink(file)

    def dr_equals(self):
        for name, _, key in self.disks():
            with open(live(name, key), "rb") as wanted, open(f"dr/{name}-{key}", "rb") as there:
                content = wanted.read()
                assert there.read(len(content)) == content, f"dr, {name}-{key}"

    # ---- The command ----

    def begin(self, *words):
        """On the day. What it says is in said.log, which is none that a program of an earlier run may still write to."""
        if os.path.exists("said.log"):
            os.unlink("said.log")
        with open("said.log", "wb") as log:
            return subprocess.Popen([*COMMAND, str(self.ahead), *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                    start_new_session=True)

    def command(self, *words, status=0):
        """status: the exit status that is expected; several in a tuple. Returns what it says."""
        expected = status if isinstance(status, tuple) else (status,)
        result = self.begin(*words).wait(timeout=1200)
        text = said()
        assert result in expected, f"{words} ended with {result}, not {status}:\n{text}"
        return text

    def run(self, *words, status=0):
        return self.command("run", "plan.toml", "--build", BUILD, *words, status=status)

    def points(self, complete=True):
        """What list shows: {(machine, disk): [time]}."""
        found = {}
        for point in json.loads(self.command("list", "plan.toml", "--json")):
            if not complete or point["status"] == "complete":
                found.setdefault((point["vm"], int(point["disk"])), []).append(point["time"])
        return found

    def restore_equals(self, when, reference, only=None):
        """Restores the machines as of then: each disk equals its reference."""
        shutil.rmtree("restored", ignore_errors=True)
        os.makedirs("restored")
        for name in {name for name, _, _ in self.disks(only)}:
            self.command("restore", "plan.toml", name, "--at", when, "--to", "restored/{vm}-{disk}", "--build", BUILD)
        for name, _, key in self.disks(only):
            file = f"{name}-{key}"
            if os.path.exists(f"{reference}/{file}"):
                assert filecmp.cmp(f"restored/{file}", f"{reference}/{file}", shallow=False), f"{file} as of {when}"


def live(machine, key):
    return f"live-{machine}-{key}"
