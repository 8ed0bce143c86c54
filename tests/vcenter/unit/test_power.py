# SPDX-License-Identifier: BSD-3-Clause
"""Power, guests that shut down, and what a VM is made of, over HTTPS."""

import json
import unittest

from unit.case import BASIC, VM, Case
from unit.client import wait_for


class Power(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()

    def vm(self):
        return self.sim.control("state")["vms"]["vm-42"]

    def threads(self):
        """Of the simulator; the one connection has always the same."""
        return self.sim.control("state")["threads"]

    def properties(self, *paths):
        """Their texts; without those that are not set."""
        return {path: value.text for path, value in self.sim.properties(*VM, *paths).items()}

    def test_the_guest_shuts_down(self):
        before = self.properties("runtime.powerState", "runtime.bootTime", "runtime.cleanPowerOff", "guest.toolsRunningStatus")
        self.assertEqual((before.pop("runtime.bootTime")[:2], before), (
            "20", {"runtime.powerState": "poweredOn", "guest.toolsRunningStatus": "guestToolsRunning"}))
        self.sim.control("shutdown", seconds=0.1)
        self.sim.call("ShutdownGuest", *VM)
        wait_for(lambda: self.vm()["power"] == "poweredOff")
        self.assertEqual(self.properties("runtime.powerState", "runtime.bootTime", "runtime.cleanPowerOff",
                                         "guest.toolsRunningStatus", "guest.guestState"), {
            "runtime.powerState": "poweredOff", "runtime.cleanPowerOff": "true",
            "guest.toolsRunningStatus": "guestToolsNotRunning", "guest.guestState": "notRunning"})
        self.assertEqual([(one["state"], one["by"], one["clean"]) for one in self.vm()["power_log"]],
                         [("poweredOff", "guest", True)])
        self.assertEqual(self.sim.task("PowerOnVM_Task", *VM), ("success", None))
        self.assertEqual(self.properties("runtime.powerState", "runtime.cleanPowerOff"), {"runtime.powerState": "poweredOn"})

    def test_a_wrong_state(self):
        self.assertEqual(self.sim.task("PowerOnVM_Task", *VM), ("error", "InvalidPowerState"))
        self.assertEqual(self.sim.task("PowerOffVM_Task", *VM), ("success", None))
        self.assertEqual(self.sim.task("PowerOffVM_Task", *VM), ("error", "InvalidPowerState"))
        answer = self.fault("InvalidPowerState", self.sim.call, "ShutdownGuest", *VM)
        self.assertIn("<existingState>poweredOff</existingState>", answer)
        self.assertIs(self.vm()["clean"], False)
        self.sim.control("power", on=1)
        self.sim.control("power", on="suspended")
        self.assertIn("<existingState>suspended<", self.fault("InvalidPowerState", self.sim.call, "ShutdownGuest", *VM))

    def test_without_tools(self):
        self.sim.control("tools", running=0)
        self.assertEqual(self.properties("guest.toolsRunningStatus", "guest.toolsStatus"), {
            "guest.toolsRunningStatus": "guestToolsNotRunning", "guest.toolsStatus": "toolsNotRunning"})
        self.fault("ToolsUnavailable", self.sim.call, "ShutdownGuest", *VM)
        self.assertEqual(self.vm()["power"], "poweredOn")

    def test_a_guest_that_does_not_come_down(self):
        self.sim.control("shutdown", seconds="never")
        self.sim.call("ShutdownGuest", *VM)
        self.assertTrue(self.vm()["shutting_down"])
        self.sim.task("PowerOffVM_Task", *VM)
        self.assertEqual((self.vm()["shutting_down"], self.vm()["clean"]), (False, False))

    def test_a_shutdown_does_not_reach_the_next_start(self):
        threads = self.threads()
        self.sim.control("shutdown", seconds=3600)
        self.sim.call("ShutdownGuest", *VM)
        self.sim.call("ShutdownGuest", *VM)  # once more changes nothing
        self.assertEqual(self.threads(), threads + 1)  # one waits for the guest
        self.sim.control("power", on=0)
        wait_for(lambda: self.threads() == threads)  # not any more
        self.sim.control("power", on=1)
        self.sim.control("shutdown", seconds=0)
        self.sim.call("ShutdownGuest", *VM)
        wait_for(lambda: self.vm()["power"] == "poweredOff")
        self.assertEqual([one["by"] for one in self.vm()["power_log"]], ["somebody", "somebody", "guest"])

    def test_somebody_is_faster(self):
        """He starts the VM just before a snapshot is taken."""
        self.sim.control("power", on=0)
        self.sim.control("power", on=1, at="CreateSnapshot_Task")
        self.assertEqual(self.vm()["power"], "poweredOff")
        self.sim.snapshot("vm-42")
        self.assertEqual(self.vm()["power"], "poweredOn")
        self.sim.control("power", on=0)
        self.sim.snapshot("vm-42")  # once
        self.assertEqual(self.vm()["power"], "poweredOff")

    def test_a_question(self):
        self.sim.control("power", on=0)
        self.sim.control("question", text="moved or copied?")
        task = self.sim.call("PowerOnVM_Task", *VM).findtext("returnval")

        def state():
            return self.sim.properties("Task", task, "info.state")["info.state"].text
        wait_for(lambda: state() == "running")
        question = self.sim.properties(*VM, "runtime.question")["runtime.question"]
        self.assertEqual(question.findtext("text"), "moved or copied?")
        self.assertEqual((state(), self.vm()["power"]), ("running", "poweredOff"))
        self.fault("TaskInProgress", self.sim.call, "ShutdownGuest", *VM)
        self.sim.control("question", text="")
        wait_for(lambda: state() == "success")
        self.assertEqual(self.vm()["power"], "poweredOn")

    def test_changes_of_a_machine_that_is_off(self):
        """From a snapshot before its end to its disk, without another snapshot."""
        snapshot = self.sim.snapshot("vm-42")
        since = self.sim.disk("VirtualMachineSnapshot", snapshot).findtext("backing/changeId")
        self.sim.remove(snapshot)
        self.sim.control("write", offset=0, length=1, byte=1)
        self.fault("InvalidArgument", self.sim.page, "vm-42", None, since, 0)
        self.sim.call("ShutdownGuest", *VM)
        wait_for(lambda: self.vm()["power"] == "poweredOff")
        self.assertEqual(self.sim.page("vm-42", None, since, 0)[1], [(0, 65536)])


class Configured(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()

    def configure(self, **values):
        self.sim.control("configure", json.dumps(values).encode())

    def test_configuration(self):
        self.configure(cpus=8, cores=4, memory_mb=512, firmware="efi", secure_boot=True, tpm=True, guest_id="windows9_64Guest",
                       extra={"a": "<b>"}, boot_order=["disk 2000", "cd"],
                       controllers=[{"type": "ParaVirtualSCSIController", "key": 1001, "bus": 1}], places={"2000": [1001, 3]},
                       cds=[{"key": 3000, "controller": 200, "unit": 0, "iso": "[x] y.iso", "connected": False}],
                       networks=[{"type": "VirtualE1000", "key": 4001, "portgroup": "dvportgroup-1",
                                  "mac": "00:50:56:00:00:01"}],
                       others=[{"type": "VirtualPCIPassthrough", "key": 13000, "label": "PCI device 0"}])
        config = self.sim.properties(*VM, "config")["config"]
        self.assertEqual([config.findtext(path) for path in (
            "hardware/numCPU", "hardware/numCoresPerSocket", "hardware/memoryMB", "firmware", "guestId",
            "bootOptions/efiSecureBootEnabled", "bootOptions/bootOrder/deviceKey", "files/vmPathName")],
            ["8", "4", "512", "efi", "windows9_64Guest", "true", "2000", "[datastore1] web1/web1.vmx"])
        self.assertEqual({one.findtext("key"): one.findtext("value") for one in config.findall("extraConfig")},
                         {"nvram": "web1.nvram", "a": "<b>"})
        disk = self.sim.disk(*VM)
        self.assertEqual((disk.findtext("controllerKey"), disk.findtext("unitNumber")), ("1001", "3"))
        status, _, answer = self.sim.request("POST", "/_test/configure", b'{"cpu": 1}')
        self.assertEqual((status, b"cpu" in answer), (400, True))

    def test_small_files(self):
        self.configure(firmware="efi", extra={"guestinfo.x": "1"})
        layout = self.sim.properties(*VM, "layoutEx.file")["layoutEx.file"]
        names = {one.findtext("type"): (one.findtext("name"), int(one.findtext("size"))) for one in layout}
        self.assertEqual(names["nvram"], ("[datastore1] web1/web1.nvram", 270840))
        for name, size in names.values():
            path = name.removeprefix("[datastore1] ")
            status, _, content = self.sim.request("GET", f"/folder/{path}?dcPath=F%2FDC0&dsName=datastore1", headers=BASIC)
            self.assertEqual((status, len(content)), (200, size), name)
            if name.endswith(".vmx"):
                self.assertIn(b'guestinfo.x = "1"\n', content)
        self.assertEqual(self.get("/folder/web1/web1.vmx?dcPath=DC0&dsName=datastore1")[0], 404)
        self.assertEqual(self.get("/folder/web1/web1.vmsd?dcPath=F%2FDC0&dsName=datastore1")[0], 404)


if __name__ == "__main__":
    unittest.main()
