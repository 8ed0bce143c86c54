# SPDX-License-Identifier: BSD-3-Clause
"""A machine of a simulated vCenter that is to be cut over, in the current directory: its disks, its plan, the command."""
import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request

SOURCE, BUILD = os.environ["SOURCE"], os.environ["BUILD"]
sys.path.insert(0, os.path.join(SOURCE, "tests", "system"))
from runs_of_command import compare, said, servers_of_this_test, wait_until  # noqa: E402

COMMAND = [sys.executable, "-B", os.path.join(SOURCE, "scripts", "nbdkit-replicate")]
M = 1 << 20

PLAN = """
images = "images/{{vm}}/{{disk}}-{{time}}.qcow2"
states = "states/{{vm}}"
reconnect-for = "1s"
{more}
[vcenter.main]
server = "{host}"
user = "administrator@vsphere.local"
password-file = "vc.pass"
cafile = "{cafile}"
{of_vcenter}
[[vm]]
path = "/DC0/vm/web1"
"""


class Site:
    def __init__(self, disks=(2000,), size=16, data=4, more="", of_vcenter="", file_system=False):
        """size, data: MiB of each disk. more, of_vcenter: lines of the plan. file_system: each has an ext4 with a file /data of
        `data` MiB."""
        self.disks = disks
        self._process = None
        os.environ["TMPDIR"] = os.path.abspath("tmp")
        for directory in ("tmp", "kept"):
            os.makedirs(directory)
        with open("vc.pass", "w", encoding="ascii") as file:
            file.write("s3cret")
        self.file_system = file_system
        for disk in disks:
            make_disk(live(disk), size * M, data * M, file_system)
        self._start_vcenter()
        with open("plan.toml", "w", encoding="utf-8") as file:
            file.write(PLAN.format(more=more, of_vcenter=of_vcenter, **self._vcenter))
        self.control("keep", directory=os.path.abspath("kept"))

    def _start_vcenter(self):
        words = [f"--disk={disk}={os.path.abspath(live(disk))}" for disk in self.disks]
        with open("vcenter.out", "wb") as out:
            process = subprocess.Popen(
                [sys.executable, os.path.join(SOURCE, "tests", "vcenter", "vcenter.py"), "--directory", os.getcwd(), "--ready",
                 "vcenter.json", "--task-ms", "20", "--vm", "/DC0/vm/web1=vm-42", *words], stdout=out, stderr=out)
        with open("vcenter.pid", "w", encoding="ascii") as file:  # the bats test ends it
            file.write(str(process.pid))
        wait_until(lambda: os.path.exists("vcenter.json") and os.path.getsize("vcenter.json"))
        with open("vcenter.json", encoding="utf-8") as file:
            self._vcenter = json.load(file)
        self._context = ssl.create_default_context(cafile=self._vcenter["cafile"])

    # ---- The source ----

    def control(self, name, data=None, **arguments):
        url = f"https://{self._vcenter['host']}/_test/{name}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, data, timeout=60, context=self._context) as answer:
            return json.load(answer)

    def curl(self, name, **arguments):
        """A command that calls the control."""
        return (f"curl -sS --fail --max-time 60 --cacert {self._vcenter['cafile']} -o /dev/null "
                f"'https://{self._vcenter['host']}/_test/{name}?{urllib.parse.urlencode(arguments)}'")

    @property
    def state(self):
        """of the machine, as the simulator tells it"""
        return self.control("state")["vms"]["vm-42"]

    def is_on(self):
        return self.state["power"] == "poweredOn"

    def writes(self, disk=2000, **arguments):
        """The guest begins to overwrite 2 MiB."""
        self.control("writer", json.dumps([[M, 2 * M]]).encode() if "files" not in arguments else b"", disk=disk, **arguments)

    # ---- The command ----

    def begin(self, *words):
        if os.path.exists("said.log"):
            os.unlink("said.log")
        with open("said.log", "wb") as log:
            return subprocess.Popen([*COMMAND, *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                    start_new_session=True)

    def command(self, *words, status=0):
        """Returns what it says."""
        result = self.begin(*words).wait(timeout=1200)
        text = said()
        print(text)
        assert result == status, f"{words} ended with {result}, not {status}:\n{text}"
        return text

    def cutover(self, *words, status=0):
        return self.command("cutover", "plan.toml", "web1", "--build", BUILD, *words, status=status)

    def begin_cutover(self, *words):
        return self.begin("cutover", "plan.toml", "web1", "--build", BUILD, *words)

    # ---- What is left ----

    def check_end(self):
        """The images that were handed over are the disks as they were when the machine was switched off."""
        for disk in self.disks:
            compare(f"kept/{disk}.img", image(disk))
            if self.file_system:
                subprocess.run(["qemu-img", "convert", "-O", "raw", image(disk), "checked.img"], check=True)
                subprocess.run(["e2fsck", "-fn", "checked.img"], check=True, stdout=subprocess.DEVNULL)
        self.check_source_left()
        assert not self.is_on()

    def check_source_left(self):
        """Nothing of ours is left in the vCenter, and no server."""
        found = self.control("state")
        assert found["sessions"] == 0, found
        assert not self.state["snapshots"], self.state
        wait_until(lambda: not servers_of_this_test())


def journal():
    with open("states/web1/cutover.json", encoding="utf-8") as file:
        return json.load(file)


def live(disk):
    return f"live-{disk}.img"


def image(disk):
    return f"images/web1/{disk}-cutover.qcow2"


def make_disk(path, size, data, file_system):
    with open(path, "wb") as file:
        file.truncate(size)
        if not file_system:
            file.write(os.urandom(data))
    if file_system:
        os.makedirs("files")
        with open("files/data", "wb") as file:
            file.write(os.urandom(data))
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", "files", path], check=True)
        shutil.rmtree("files")
