# SPDX-License-Identifier: BSD-3-Clause
"""What the command does with one virtual machine (scripts/nbdkit_replicate/vcenter), by VMware's client, python3-pyvmomi, and
the simulated vCenter. SOURCE is the source directory."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(os.environ["SOURCE"], part) for part in ("scripts", "tests/vcenter")]

# pylint: disable=wrong-import-position
from nbdkit_replicate.definition.definition import from_json  # noqa: E402
from nbdkit_replicate.messages import Failure, Refused  # noqa: E402
from nbdkit_replicate.plan.plan import VCenter  # noqa: E402
from nbdkit_replicate.vcenter import asking  # noqa: E402
from nbdkit_replicate.vcenter.inventory import ask  # noqa: E402
from nbdkit_replicate.vcenter.machine import Away, Busy, Gone, NoTools, Session, State, WrongPower  # noqa: E402
from unit.client import Simulator  # noqa: E402

PATH = "/F/DC0/vm/dir%2fx/web1"
PASSWORD = "s3cret & <more>"


def setUpModule():
    """One simulator for all tests. Two of its machines have one name, and one has a slash in it."""
    directory = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(directory.cleanup)
    MachineCase.directory = directory.name
    disk = MachineCase.file("disk.img", bytes(1 << 20))
    MachineCase.sim = Simulator(directory.name, "--password", PASSWORD, "--task-ms", "20", "--datastore", "da ta",
                                "--vm", PATH + "=vm-42", "--disk", f"2000={disk}", "--vm-datastore", "one] two",
                                "--vm-directory", "a] b", "--vm", "/DC1/vm/twin=vm-1", "--vm", "/DC1/vm/x/twin=vm-2",
                                "--vm", "/DC1/vm/sla%2fsh=vm-3")
    unittest.addModuleCleanup(MachineCase.sim.close)


class MachineCase(unittest.TestCase):
    sim, directory = None, ""

    @classmethod
    def file(cls, name, content):
        path = os.path.join(MachineCase.directory, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def setUp(self):
        self.vcenter = VCenter("home", self.sim.facts["host"], "administrator@vsphere.local",
                               self.file("pass", PASSWORD.encode() + b"\n"), cafile=self.sim.facts["cafile"])
        self.sim.control("nofault")
        for name, values in (("power", {"on": 1}), ("tools", {"running": 1}), ("shutdown", {"seconds": 0}),
                             ("question", {"text": ""})):
            self.sim.control(name, vm="vm-42", **values)

    def run_with(self, steps, vm=PATH):
        """steps: a coroutine function, of a machine, or of a session if vm is None."""
        async def run():
            async with Session(self.vcenter) as session:
                return await steps(session if vm is None else await session.machine(vm))
        return asyncio.run(run())

    def state(self):
        return self.sim.control("state")

    def vm(self):
        return self.state()["vms"]["vm-42"]


class PowerOfOne(MachineCase):
    def test_down_and_up_again(self):
        async def steps(machine):
            before = await machine.power_state()
            await machine.shutdown_guest()
            off = await machine.wait_for(State.OFF, 100)
            await machine.shutdown_guest()  # what is done already is no error
            await machine.power_off()
            await machine.power_on()
            await machine.power_on()
            return before, off, await machine.power_state()
        before, off, after = self.run_with(steps)
        self.assertTrue(before.on and before.tools_running and before.boot_time)
        self.assertEqual((off.off, off.clean, off.boot_time), (True, True, None))
        self.assertTrue(after.on)
        self.assertNotEqual(after.boot_time, before.boot_time)  # so it has been off
        self.assertEqual([one["by"] for one in self.vm()["power_log"]][-2:], ["guest", "api"])

    def test_switched_off(self):
        async def steps(machine):
            await machine.power_off()
            return await machine.power_state()
        power = self.run_with(steps)
        self.assertEqual((power.state, power.clean), (State.OFF, False))

    def test_no_tools(self):
        self.sim.control("tools", vm="vm-42", running=0)
        with self.assertRaisesRegex(NoTools, "vCenter home .*: ToolsUnavailable: .*VMware Tools is not running"):
            self.run_with(lambda machine: machine.shutdown_guest())

    def test_suspended(self):
        self.sim.control("power", vm="vm-42", on="suspended")

        async def steps(machine):
            power = await machine.power_state()
            with self.assertRaisesRegex(WrongPower, "Suspended"):
                await machine.shutdown_guest()
            return power
        power = self.run_with(steps)
        self.assertEqual((power.on, power.off), (False, False))

    def test_a_guest_that_does_not_come_down(self):
        self.sim.control("shutdown", vm="vm-42", seconds="never")

        async def steps(machine):
            await machine.shutdown_guest()
            return await machine.wait_for(State.OFF, 0.2)
        self.assertIsNone(self.run_with(steps))

    def test_a_task_that_fails(self):
        self.sim.control("power", vm="vm-42", on=0)
        self.sim.control("fault", where="PowerOnVM_Task", kind="InsufficientHostMemoryCapacityFault", task=1)
        with self.assertRaisesRegex(Failure, "InsufficientHostMemoryCapacityFault"):
            self.run_with(lambda machine: machine.power_on())

    def test_another_task_is_waited_for(self):
        self.sim.control("fault", where="PowerOffVM_Task", kind="TaskInProgress", count=2)
        self.run_with(lambda machine: machine.power_off())
        self.assertEqual((self.vm()["power"], self.state()["faults"]), ("poweredOff", 0))

    def test_another_task_that_does_not_end(self):
        for method, act in (("PowerOffVM_Task", lambda machine: machine.power_off(0.1)),
                            ("ShutdownGuest", lambda machine: machine.shutdown_guest(0.1)),
                            ("CreateSnapshot_Task", lambda machine: machine.take_snapshot("n", "t", 0.1))):
            self.sim.control("fault", where=method, kind="TaskInProgress", count=1000000)
            with self.assertRaises(Busy):
                self.run_with(act)
        self.assertEqual((self.vm()["power"], self.vm()["snapshots"]), ("poweredOn", []))

    def test_a_question(self):
        """It is not waited for: somebody has to answer it."""
        self.sim.control("power", vm="vm-42", on=0)
        self.sim.control("question", vm="vm-42", text="moved or copied?")
        with self.assertRaisesRegex(Failure, "a question .*: moved or copied"):
            self.run_with(lambda machine: machine.power_on())
        self.sim.control("question", vm="vm-42", text="")

    def test_a_task_that_does_not_end(self):
        self.sim.control("power", vm="vm-42", on=0)
        self.sim.control("pace", **{"task-ms": 3600000})
        try:
            with self.assertRaisesRegex(Failure, "not ended within 0 seconds"):
                self.run_with(lambda machine: machine.power_on(0.1))
        finally:
            self.sim.control("pace", **{"task-ms": 20})  # also for the task that runs
        self.run_with(lambda machine: machine.power_on())  # after the end of the other task


class Finding(MachineCase):
    def test_all_names(self):
        uuids = self.vm()

        async def steps(session):
            for name, moref in ((PATH, "vm-42"), (PATH.replace("%2f", "%2F"), "vm-42"), ("web1", "vm-42"),
                                ("moref=vm-2", "vm-2"), ("uuid=" + uuids["uuid"], "vm-42"),
                                ("uuid=" + uuids["instance_uuid"], "vm-42"), ("sla/sh", "vm-3"), ("/DC1/vm/twin", "vm-1")):
                self.assertEqual((await session.machine(name)).moref, moref)
            for name, message in (("none", "there is no virtual machine none"), ("/DC0/vm/none", "there is no"),
                                  ("moref=vm-99", "vm-99"), ("uuid=1", "there is no"), ("/DC1/vm", "there is no"),
                                  ("twin", "2 virtual machines have the name twin")):
                with self.assertRaisesRegex(Gone, message):
                    await session.machine(name)
        self.run_with(steps, None)


class Sessions(MachineCase):
    def test_one_login_for_all(self):
        before = self.state()

        async def steps(machine):
            for _ in range(3):
                await machine.power_state()
        with mock.patch.object(asking, "LOGOUT", 600):
            self.run_with(steps)
        after = self.state()
        self.assertEqual(after["logins"] - before["logins"], 1)
        self.assertEqual(after["sessions"], before["sessions"])  # it has logged out

    def test_a_session_that_expires(self):
        before = self.state()["logins"]

        async def steps(machine):
            self.sim.control("expire")
            power = await machine.power_state()
            self.sim.control("expire")
            await machine.power_off()
            return power
        self.assertTrue(self.run_with(steps).on)
        self.assertEqual((self.state()["logins"] - before, self.vm()["power"]), (3, "poweredOff"))

    def test_a_wrong_password(self):
        vcenter, calls = self.vcenter, self.state()["soap"].get("Login", 0)
        self.vcenter = VCenter("home", vcenter.server, vcenter.user, self.file("wrong", b"wrong\n"), cafile=vcenter.cafile)
        with self.assertRaisesRegex(Refused, "the user name or the password is wrong"):
            self.run_with(lambda machine: machine.power_state())
        self.assertEqual(self.state()["soap"]["Login"] - calls, 1)  # an account is locked after a few

    def test_no_answer(self):
        """The program that waits is ended, and the next question is asked by another one."""
        async def steps(machine):
            await machine.power_state()
            self.sim.control("fault", where="RetrievePropertiesEx", kind="stall", seconds=60)
            waiting = machine.session._process  # pylint: disable=protected-access
            with self.assertRaisesRegex(Away, "has not answered for"):
                await machine.session.ask({"do": "power", "moref": machine.moref}, 0.5)
            self.assertIsNotNone(waiting.returncode)
            self.sim.control("nofault")  # a program that was ended before it asked has met none
            return await machine.power_state()
        self.assertTrue(self.run_with(steps).on)

    def test_a_program_that_is_killed(self):
        async def steps(machine):
            process = machine.session._process  # pylint: disable=protected-access
            os.kill(process.pid, signal.SIGKILL)
            with self.assertRaisesRegex(Failure, "could not be asked"):
                await machine.power_state()
            return await machine.power_state()
        self.assertTrue(self.run_with(steps).on)

    def test_a_question_that_is_cancelled(self):
        async def steps(machine):
            self.sim.control("fault", where="FindByInventoryPath", kind="stall", seconds=2)
            question = asyncio.create_task(machine.session.machine(PATH))
            while self.sim.control("state")["faults"]:
                await asyncio.sleep(0.01)
            question.cancel()
            await asyncio.gather(question, return_exceptions=True)
            return await machine.power_state()  # and not the answer to the other one
        before = self.state()["sessions"]
        with mock.patch.object(asking, "LOGOUT", 600):
            self.assertTrue(self.run_with(steps).on)
        self.assertEqual(self.state()["sessions"], before)

    def test_a_task_that_is_cancelled(self):
        """Whose end is not waited for, and neither is that of another task before it."""
        async def steps(machine):
            for method, act in (("PowerOnVM_Task", machine.power_on), ("PowerOffVM_Task", machine.power_off)):
                calls = self.state()["soap"].get(method, 0)
                task = asyncio.create_task(act(100000))
                while self.state()["soap"].get(method, 0) == calls:
                    await asyncio.sleep(0.01)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        before = self.state()["sessions"]
        self.sim.control("power", vm="vm-42", on=0)
        self.sim.control("pace", **{"task-ms": 3600000})
        try:
            with mock.patch.object(asking, "LOGOUT", 600):
                self.run_with(steps)
        finally:
            self.sim.control("pace", **{"task-ms": 20})
        self.assertEqual(self.state()["sessions"], before)

    def test_an_inventory_that_nobody_waits_for(self):
        async def steps():
            self.sim.control("fault", where="CreateContainerView", kind="stall", seconds=2)
            question = asyncio.create_task(ask(self.vcenter))
            while self.state()["faults"]:
                await asyncio.sleep(0.01)
            question.cancel()
            await asyncio.gather(question, return_exceptions=True)
        before = self.state()["sessions"]
        with mock.patch.object(asking, "LOGOUT", 600):
            asyncio.run(steps())
        self.assertEqual(self.state()["sessions"], before)

    def test_the_password_is_seen_nowhere(self):
        async def steps(machine):
            process = machine.session._process.pid  # pylint: disable=protected-access
            for name in ("cmdline", "environ"):
                with open(f"/proc/{process}/{name}", "rb") as file:
                    self.assertNotIn(b"s3cret", file.read())
        self.run_with(steps)
        with open(os.path.join(self.directory, "vcenter.log"), encoding="utf-8") as file:
            self.assertNotIn("s3cret", file.read())

    def test_by_thumbprint(self):
        vcenter = self.vcenter
        for thumbprint in (self.sim.facts["thumbprint"], self.sim.facts["thumbprint_sha256"]):
            self.vcenter = VCenter("home", vcenter.server, vcenter.user, vcenter.password_file, thumbprint=thumbprint)
            self.run_with(lambda machine: machine.download(self.directory))
        self.vcenter = VCenter("home", vcenter.server, vcenter.user, vcenter.password_file, thumbprint="00" * 20)
        with self.assertRaisesRegex(Failure, "it is another server"):
            self.run_with(lambda machine: machine.power_state())
        self.vcenter = VCenter("home", vcenter.server, vcenter.user, vcenter.password_file)
        with self.assertRaisesRegex(Failure, "certificate verify failed|unable to get local issuer"):
            self.run_with(lambda machine: machine.power_state())

    def test_faults_of_the_inventory_have_their_names(self):
        self.sim.control("fault", where="CreateContainerView", kind="NoPermission", message="not you")
        with self.assertRaisesRegex(Failure, r"vCenter home \(.*\): NoPermission: not you"):
            asyncio.run(ask(self.vcenter))

    def test_an_answer_that_is_no_soap_ends_the_session(self):
        async def steps(machine):
            self.sim.control("fault", where="RetrievePropertiesEx", kind="503", count=9)
            with self.assertRaises(Away):
                await machine.power_state()
            self.sim.control("nofault")
            return await machine.power_state()
        self.assertTrue(self.run_with(steps).on)

    def test_a_vcenter_that_is_away_is_waited_for(self):
        async def steps(machine):
            self.sim.control("fault", where="RetrievePropertiesEx", kind="503", count=1)
            power = await machine.wait_for(State.ON, 100)
            self.sim.control("fault", where="RetrievePropertiesEx", kind="503", count=9)
            with self.assertRaises(Away):
                await machine.wait_for(State.ON, 0)
            return power
        self.assertTrue(self.run_with(steps).on)


class Describing(MachineCase):
    def test_definition(self):
        self.sim.control("configure", json.dumps({
            "cpus": 4, "cores": 2, "memory_mb": 4096, "firmware": "efi", "secure_boot": True, "tpm": True,
            "guest_id": "windows2019srv_64Guest", "annotation": "<é>", "boot_order": ["cd", "disk 2000", "network 4000"],
            "controllers": [{"type": "ParaVirtualSCSIController", "key": 1001, "bus": 1},
                            {"type": "VirtualIDEController", "key": 201, "bus": 1}], "places": {"2000": [1001, 3]},
            "cds": [{"key": 3000, "controller": 201, "unit": 0, "iso": "[x] y.iso"}],
            "networks": [{"type": "VirtualE1000e", "key": 4000, "network": "VM Network", "mac": "00:50:56:00:00:01"},
                         {"type": "VirtualVmxnet3", "key": 4001, "portgroup": "dvportgroup-1", "mac": "00:50:56:00:00:02",
                          "connected": False}],
            "others": [{"type": "VirtualPCIPassthrough", "key": 13000, "label": "PCI device 0"}],
            "extra": {"guestInfo.detailed.data": "distroName='Ubuntu' distroVersion='22.04'"}}).encode(), vm="vm-42")

        found = from_json(self.run_with(lambda machine: machine.definition()))
        self.assertEqual((found.name, found.cpus, found.cores_per_socket, found.memory), ("web1", 4, 2, 4 << 30))
        self.assertEqual((found.efi, found.secure_boot, found.tpm), (True, True, True))
        self.assertEqual((found.guest.id, found.guest.details["distroVersion"], found.annotation),
                         ("windows2019srv_64Guest", "22.04", "<é>"))
        disks = [(one.name, one.controller, one.controller_number, one.unit, one.size, one.file) for one in found.disks]
        self.assertEqual(disks, [("2000", "pvscsi", 1, 3, 1 << 20, "[one] two] a] b/web1.vmdk")])
        self.assertEqual([(one.bus, one.controller_number, one.iso) for one in found.cds], [("ide", 1, "[x] y.iso")])
        self.assertEqual([(one.model, one.mac, one.network, one.connected) for one in found.networks],
                         [("e1000e", "00:50:56:00:00:01", "VM Network", True),
                          ("vmxnet3", "00:50:56:00:00:02", "dvportgroup-1", False)])
        self.assertEqual(found.boot_order, ("cd", "disk 2000", "network 4000"))
        self.assertEqual([one.type for one in found.other_devices], ["VirtualPCIPassthrough"])

    def test_small_files(self):
        """From a datastore and a datacenter whose names have to be quoted."""
        with tempfile.TemporaryDirectory() as directory:
            names = self.run_with(lambda machine: machine.download(directory))
            self.assertEqual(names, ("web1.vmx", "web1.vmxf", "web1.nvram"))
            self.assertEqual(sorted(os.listdir(directory)), sorted(names))
            with open(os.path.join(directory, "web1.vmx"), encoding="utf-8") as file:
                self.assertIn(f'uuid.bios = "{self.vm()["uuid"]}"', file.read())
            self.assertEqual(os.stat(os.path.join(directory, "web1.nvram")).st_mode & 0o777, 0o600)

    def test_files_that_are_refused(self):
        for status in (403, 404, 503):
            self.sim.control("fault", where="folder", kind=status, count=2)
            with self.assertRaisesRegex(Failure, rf"\[one\] two\] a\] b/web1.vmx: the server answers {status}"):
                self.run_with(lambda machine: machine.download(self.directory))
            self.sim.control("nofault")

    def test_a_file_that_is_locked(self):
        """As the machine runs on another host than the one that is asked; when it is off, nobody locks it."""
        with tempfile.TemporaryDirectory() as directory:
            self.sim.control("fault", where="folder", kind=500, after=2)
            self.assertEqual(self.run_with(lambda machine: machine.download(directory)), ("web1.vmx", "web1.vmxf"))
            self.sim.control("power", vm="vm-42", on=0)
            self.sim.control("fault", where="folder", kind=500)
            with self.assertRaisesRegex(Failure, "web1.vmx: the server answers 500"):
                self.run_with(lambda machine: machine.download(directory))

    def test_half_a_file(self):
        for kind in ("short", "reset"):
            with tempfile.TemporaryDirectory() as directory:
                self.sim.control("fault", where="folder", kind=kind)
                with self.assertRaises(Away):
                    self.run_with(lambda machine: machine.download(directory))
                self.assertEqual(os.listdir(directory), [])

    def test_nowhere_to_put_them(self):
        with self.assertRaisesRegex(Failure, "No such file or directory"):
            self.run_with(lambda machine: machine.download("/none"))


if __name__ == "__main__":
    unittest.main()
