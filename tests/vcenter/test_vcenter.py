# SPDX-License-Identifier: BSD-3-Clause
"""The simulator as its users see it: over HTTPS."""

import base64
import concurrent.futures
import os
import tempfile
import unittest
from urllib.parse import quote

from client import FaultSeen, Simulator

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


class Sessions(Case):
    def test_login(self):
        content = self.sim.call("RetrieveServiceContent", "ServiceInstance", "ServiceInstance")
        self.assertEqual(content.find("returnval/rootFolder").get("type"), "Folder")
        self.fault("NotAuthenticated", self.sim.properties, *VM, "name")
        self.assertEqual(self.sim.properties("SessionManager", "SessionManager", "currentSession"), {})
        self.fault("InvalidLogin", self.sim.login, "administrator@vsphere.local", "wrong")
        self.sim.login()
        self.assertRegex(self.sim.cookie, '^vmware_soap_session="[0-9a-f]{40}"$')
        self.assertEqual(self.sim.properties(*VM, "name")["name"].text, "web1")
        session = self.sim.properties("SessionManager", "SessionManager", "currentSession")
        self.assertEqual(session["currentSession"].findtext("userName"), "administrator@vsphere.local")
        self.sim.control("expire")
        self.fault("NotAuthenticated", self.sim.properties, *VM, "name")
        self.sim.login()
        self.sim.call("Logout", "SessionManager", "SessionManager")
        self.fault("NotAuthenticated", self.sim.properties, *VM, "name")
        self.assertEqual(self.sim.control("state")["soap"]["Login"], 3)

    def test_no_password_in_the_log(self):
        self.sim.login()
        self.get()
        self.assertEqual(self.sim.close(), 0)
        with open(os.path.join(self.directory, "vcenter.log"), encoding="utf-8") as file:
            log = file.read()
        self.assertIn("Login SessionManager -> 200", log)
        self.assertNotIn("s3cret", log)
        self.assertNotIn(BASIC["Authorization"][6:], log)
        self.assertNotIn("exception", log)


class Inventory(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()

    def find(self, path):
        found = self.sim.call("FindByInventoryPath", "SearchIndex", "SearchIndex",
                              f"<inventoryPath>{path}</inventoryPath>").find("returnval")
        return None if found is None else (found.get("type"), found.text)

    def test_paths(self):
        self.assertEqual(self.find("/F/DC0/vm/dir%2fx/web1"), VM)
        self.assertEqual(self.find("F/DC0/vm/dir%2Fx/web1"), VM)
        self.assertIsNone(self.find("/F/DC0/vm/dir/x/web1"))
        self.assertEqual(self.find("/F/DC0")[0], "Datacenter")
        self.assertEqual(self.find("/F/DC0/datastore/datastore1")[0], "Datastore")

    def test_uuids(self):
        known = self.sim.properties(*VM, "config.uuid", "config.instanceUuid")
        for path, instance in (("config.uuid", "false"), ("config.instanceUuid", "true")):
            for flag, expected in ((instance, "vm-42"), ("true" if instance == "false" else "false", None)):
                found = self.sim.call("FindByUuid", "SearchIndex", "SearchIndex",
                                      f"<uuid>{known[path].text}</uuid><vmSearch>true</vmSearch>"
                                      f"<instanceUuid>{flag}</instanceUuid>")
                self.assertEqual(found.findtext("returnval"), expected)

    def test_up_to_the_datacenter(self):
        at, names = VM, []
        while at[0] != "Datacenter":
            parent = self.sim.properties(*at, "parent")["parent"]
            at = (parent.get("type"), parent.text)
            names.append(self.sim.properties(*at, "name")["name"].text)
        self.assertEqual(names, ["dir%2fx", "vm", "DC0"])

    def test_container_view_finds_by_name(self):
        view = self.sim.call("CreateContainerView", "ViewManager", "ViewManager",
                             '<container type="Folder">group-d1</container>'
                             "<type>VirtualMachine</type><recursive>true</recursive>").findtext("returnval")
        answer = self.sim.call(
            "RetrievePropertiesEx", "PropertyCollector", "propertyCollector",
            "<specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet><objectSet>"
            f'<obj type="ContainerView">{view}</obj><skip>true</skip><selectSet xmlns:x='
            '"http://www.w3.org/2001/XMLSchema-instance" x:type="TraversalSpec"><name>v</name>'
            "<type>ContainerView</type><path>view</path><skip>false</skip></selectSet></objectSet>"
            "</specSet><options/>")
        self.assertEqual([(one.findtext("obj"), one.findtext("propSet/val"))
                          for one in answer.iter("objects")], [("vm-42", "web1")])

    def test_recursive_traversal(self):
        spec = ('<selectSet xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:type="TraversalSpec">'
                "<name>f</name><type>Folder</type><path>childEntity</path>"
                "<selectSet><name>f</name></selectSet><selectSet><name>d</name></selectSet></selectSet>"
                "<selectSet><name>d</name><type>Datacenter</type><path>vmFolder</path>"
                "<selectSet><name>f</name></selectSet></selectSet>")
        answer = self.sim.call(
            "RetrievePropertiesEx", "PropertyCollector", "propertyCollector",
            "<specSet><propSet><type>ManagedEntity</type><pathSet>name</pathSet></propSet><objectSet>"
            f'<obj type="Folder">group-d1</obj>{spec}</objectSet></specSet>'
            "<options><maxObjects>4</maxObjects></options>")
        names = [one.text for one in answer.iter("val")]
        token = answer.findtext("returnval/token")
        more = self.sim.call("ContinueRetrievePropertiesEx", "PropertyCollector", "propertyCollector",
                             f"<token>{token}</token>")
        names += [one.text for one in more.iter("val")]
        self.assertEqual(names, ["Datacenters", "F", "DC0", "vm", "dir%2fx", "web1"])

    def test_properties(self):
        got = self.sim.properties(*VM, "snapshot", "config.template", "runtime", "config.files")
        self.assertEqual(sorted(got), ["config.files", "config.template", "runtime"])  # no snapshot
        self.assertEqual(got["runtime"].findtext("powerState"), "poweredOn")
        self.sim.control("template", on=1)
        self.sim.control("mode", mode="independent_persistent")
        self.assertEqual(self.sim.properties(*VM, "config.template")["config.template"].text, "true")
        self.assertEqual(self.sim.disk(*VM).findtext("backing/diskMode"), "independent_persistent")
        self.assertIn("InvalidProperty", self.fault("InvalidProperty", self.sim.properties, *VM, "nmae"))
        self.fault("ManagedObjectNotFound", self.sim.properties, "VirtualMachine", "vm-1", "name")
        self.fault("MethodNotFound", self.sim.call, "PowerOffVM_Task", *VM)


class ChangeTracking(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()

    def change_id(self, snapshot):
        return self.sim.disk("VirtualMachineSnapshot", snapshot).findtext("backing/changeId")

    def test_allocated_in_pages_with_an_empty_one(self):
        snapshot = self.sim.snapshot("vm-42")
        pages = [self.sim.page("vm-42", snapshot, "*", at << 20) for at in (0, 16, 32, 48)]
        self.assertEqual(pages, [(16 << 20, [(2 * K64, 3 * K64)]), (16 << 20, []),
                                 (16 << 20, [(40 << 20, K64)]), (16 << 20, [])])
        self.assertIn("startOffset", self.fault("InvalidArgument", self.sim.page, "vm-42", snapshot,
                                                "*", SIZE))
        self.assertIn("deviceKey", self.fault("InvalidArgument", self.sim.page, "vm-42", snapshot,
                                              "*", 0, 2001))
        self.fault("InvalidArgument", self.sim.page, "vm-42", None, "*", 0)

    def test_since_is_exact_and_frozen(self):
        self.sim.control("write", offset=0, length=1, byte=7)  # before the first snapshot
        first = self.sim.snapshot("vm-42")
        since = self.change_id(first)
        self.assertRegex(since, r"^52( [0-9a-f]{2}){7}-[0-9a-f]{2}( [0-9a-f]{2}){7}/\d+$")
        self.assertEqual(self.sim.changes("vm-42", first, since, SIZE), [])
        self.sim.control("write", body=b"x" * 10, offset=K64 * 3 - 5)  # two blocks, and seen as such
        self.sim.control("unmap", offset=40 << 20, length=K64)
        self.assertEqual(self.sim.remove(first)[0], "success")
        self.sim.control("write", offset=K64 * 900, length=K64, byte=9)
        second = self.sim.snapshot("vm-42")
        self.sim.control("write", offset=K64 * 500, length=1, byte=1)  # later: not in the second
        self.assertEqual(self.sim.changes("vm-42", second, since, SIZE),
                         [(2 * K64, 2 * K64), (40 << 20, K64), (900 * K64, K64)])
        self.assertEqual(self.sim.changes("vm-42", second, "*", SIZE),
                         [(0, K64), (2 * K64, 3 * K64), (900 * K64, K64)])

    def test_foreign_change_ids(self):
        snapshot = self.sim.snapshot("vm-42")
        since = self.change_id(snapshot)
        for wrong in ("garbage", "53" + since[2:], since.partition("/")[0] + "/99", since + "x"):
            self.assertIn("cannotGetChanges", self.fault("FileFault", self.sim.page, "vm-42", snapshot,
                                                         wrong, 0))
        self.sim.remove(snapshot)
        self.sim.control("reset")
        snapshot = self.sim.snapshot("vm-42")
        self.assertNotEqual(self.change_id(snapshot).partition("/")[0], since.partition("/")[0])
        self.fault("FileFault", self.sim.page, "vm-42", snapshot, since, 0)
        self.sim.remove(snapshot)
        self.fault("ManagedObjectNotFound", self.sim.page, "vm-42", snapshot, "*", 0)

    def test_import_writes_what_differs(self):
        snapshot = self.sim.snapshot("vm-42")
        since = self.change_id(snapshot)
        other = os.path.join(self.directory, "other.img")
        with open(other, "wb") as file:
            file.truncate(SIZE)
            file.seek(3 * K64)
            file.write(b"a" * 2 * K64)
            file.seek(40 << 20)
            file.write(b"B" + b"b" * (K64 - 1))
        self.assertEqual(self.sim.control("import", file=other)["changed"], 2)
        with open(other, "rb") as one, open(self.disk, "rb") as two:
            self.assertEqual(one.read(), two.read())
        self.sim.remove(snapshot)
        snapshot = self.sim.snapshot("vm-42")
        self.assertEqual(self.sim.changes("vm-42", snapshot, since, SIZE),
                         [(2 * K64, K64), (40 << 20, K64)])
        self.assertEqual(self.sim.changes("vm-42", snapshot, "*", SIZE),
                         [(3 * K64, 2 * K64), (40 << 20, K64)])

    def test_a_lie_and_growth(self):
        snapshot = self.sim.snapshot("vm-42")
        since = self.change_id(snapshot)
        self.sim.remove(snapshot)
        self.sim.control("lie", offset=0, length=5, byte=1)
        self.sim.control("grow", size=SIZE + (1 << 20))
        snapshot = self.sim.snapshot("vm-42")
        self.assertEqual(self.sim.changes("vm-42", snapshot, since, SIZE), [])
        self.assertEqual(self.get(Range="bytes=0-4")[2], b"\1" * 5)
        disk = self.sim.disk("VirtualMachineSnapshot", snapshot)
        self.assertEqual(disk.findtext("capacityInBytes"), str(SIZE + (1 << 20)))
        self.assertEqual(int(self.get()[1]["Content-Length"]), SIZE + (1 << 20))

    def test_powered_off(self):
        self.sim.control("power", on=0)
        self.assertEqual(len(self.sim.changes("vm-42", None, "*", SIZE)), 2)
        self.assertEqual(self.get(Range="bytes=131072-131072")[2], b"a")


class Enabling(Case):
    arguments = ("--no-cbt",)

    def test_takes_effect_at_the_next_stun(self):
        self.sim.login()
        first = self.sim.snapshot("vm-42")
        self.assertIsNone(self.sim.disk("VirtualMachineSnapshot", first).find("backing/changeId"))
        self.assertIn("noEpoch", self.fault("FileFault", self.sim.page, "vm-42", first, "*", 0))
        self.assertIn("noTrack", self.fault("FileFault", self.sim.page, "vm-42", first, "52/1", 0))
        self.sim.remove(first)
        self.sim.task("ReconfigVM_Task", *VM, "<spec><changeTrackingEnabled>true"
                      "</changeTrackingEnabled></spec>")
        self.assertEqual(self.sim.properties(*VM, "config.changeTrackingEnabled")
                         ["config.changeTrackingEnabled"].text, "true")
        throw_away = self.sim.snapshot("vm-42")
        self.assertIsNone(self.sim.disk("VirtualMachineSnapshot", throw_away).find("backing/changeId"))
        self.sim.remove(throw_away)
        real = self.sim.snapshot("vm-42")
        since = self.sim.disk("VirtualMachineSnapshot", real).findtext("backing/changeId")
        self.assertEqual(self.sim.changes("vm-42", real, since, SIZE), [])
        self.assertEqual(len(self.sim.changes("vm-42", real, "*", SIZE)), 2)


class Snapshots(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()

    def test_tree_and_file_names(self):
        names = {}
        for name in ("one", "two & <more>"):
            names[name] = self.sim.snapshot("vm-42", name)
        tree = self.sim.properties(*VM, "snapshot")["snapshot"]
        self.assertEqual(tree.findtext("currentSnapshot"), names["two & <more>"])
        self.assertEqual(tree.findtext("rootSnapshotList/name"), "one")
        self.assertEqual(tree.findtext("rootSnapshotList/childSnapshotList/name"), "two & <more>")

        def chain(kind, moref):
            found = []
            at = self.sim.disk(kind, moref).find("backing")
            while at is not None:
                found.append(at.findtext("fileName").removeprefix("[datastore1] web1/"))
                at = at.find("parent")
            return found
        self.assertEqual(chain(*VM), ["web1-000002.vmdk", "web1-000001.vmdk", "web1.vmdk"])
        self.assertEqual(chain("VirtualMachineSnapshot", names["one"]), ["web1.vmdk"])
        self.assertEqual(chain("VirtualMachineSnapshot", names["two & <more>"]),
                         ["web1-000001.vmdk", "web1.vmdk"])
        self.sim.remove(names["one"])
        self.assertEqual(chain("VirtualMachineSnapshot", names["two & <more>"]), ["web1.vmdk"])
        self.sim.task("RemoveAllSnapshots_Task", *VM)
        self.assertEqual(chain(*VM), ["web1.vmdk"])
        self.assertEqual(self.sim.control("state")["vms"]["vm-42"]["snapshots"], [])
        self.assertEqual(self.sim.properties(*VM, "snapshot"), {})

    def test_one_task_at_a_time(self):
        create = ("CreateSnapshot_Task", *VM, "<name>x</name>")
        task = self.sim.call(*create).findtext("returnval")
        state = self.sim.properties("Task", task, "info.state")["info.state"].text
        self.assertIn(state, ("queued", "running"))
        self.fault("TaskInProgress", self.sim.call, *create)


class Folder(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()
        self.snapshot = self.sim.snapshot("vm-42")

    def test_frozen_under_writes(self):
        with open(self.disk, "rb") as file:
            before = file.read()
        self.sim.control("write", offset=0, length=SIZE // 2, byte=0xAA)
        self.sim.control("unmap", offset=40 << 20, length=1 << 20)
        status, _, body = self.get()
        self.assertEqual((status, body == before), (200, True))
        self.sim.remove(self.snapshot)
        self.assertEqual(self.get()[0], 500)  # locked
        self.sim.snapshot("vm-42")
        self.assertEqual(self.get(Range="bytes=0-99")[2], b"\xaa" * 100)

    def test_ranges(self):
        status, headers, body = self.get(Range="bytes=131071-131073")
        self.assertEqual((status, headers["Content-Range"], body),
                         (206, f"bytes 131071-131073/{SIZE}", b"\0aa"))
        self.assertEqual(self.get(Range=f"bytes={SIZE - 3}-{SIZE + 10}")[2], b"\0\0\0")
        self.assertEqual(len(self.get(Range="bytes=-7")[2]), 7)
        status, headers, _ = self.get(Range=f"bytes={SIZE}-")
        self.assertEqual((status, headers["Content-Range"]), (416, f"bytes */{SIZE}"))
        status, headers, body = self.sim.request("HEAD", FLAT, headers=BASIC)
        self.assertEqual((status, headers["Content-Length"], body), (200, str(SIZE), b""))

    def test_many_at_once(self):
        self.sim.control("write", offset=0, length=SIZE, byte=3)
        with open(self.disk, "rb") as file:
            self.assertEqual(file.read(1), b"\3")
        expected = b"\0" * K64 * 2 + b"a" * K64 * 3 + b"\0" * K64

        def read(at):
            connection = self.sim.connect()
            connection.request("GET", FLAT, headers=BASIC | {"Range": f"bytes={at}-{at + K64 - 1}"})
            try:
                return connection.getresponse().read() == expected[at:at + K64]
            finally:
                connection.close()
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            self.assertEqual(list(pool.map(read, range(0, 6 * K64, K64))), [True] * 6)
        state = self.sim.control("state")["folder"]
        self.assertEqual((state["requests"], state["bytes"], state["at_once"]), (6, 6 * K64, 0))
        self.assertIn(state["most_at_once"], range(1, 7))

    def test_who_may(self):
        status, headers, _ = self.sim.request("GET", FLAT)
        self.assertEqual((status, headers["WWW-Authenticate"]), (401, 'Basic realm="VMware HTTP server"'))
        status, headers, _ = self.sim.request("HEAD", FLAT, headers=BASIC)
        self.assertEqual(status, 200)
        cookie = headers["Set-Cookie"].partition(";")[0]
        self.assertEqual(self.sim.request("HEAD", FLAT, headers={"Cookie": cookie})[0], 200)
        self.assertEqual(self.sim.request("HEAD", FLAT, headers={"Cookie": self.sim.cookie})[0], 200)
        self.sim.control("expire")
        self.assertEqual(self.sim.request("HEAD", FLAT, headers={"Cookie": cookie})[0], 401)

    def test_names(self):
        twice = quote(quote("F/DC0", safe=""), safe="")
        self.assertEqual(self.get(FLAT.replace("F%2FDC0", twice))[0], 200)
        self.assertEqual(self.get(FLAT.replace("F%2FDC0", "%2FF%2FDC0"))[0], 200)
        for wrong in (FLAT.replace("F%2FDC0", "DC0"), FLAT.replace("datastore1", "other"),
                      FLAT.partition("?")[0], FLAT.replace("web1-flat", "web2-flat"),
                      FLAT.replace("-flat", "-000001-delta")):
            self.assertEqual(self.get(wrong)[0], 404, wrong)

    def test_descriptors(self):
        text = self.get(FLAT.replace("-flat", ""))[2].decode()
        self.assertIn(f'\nRW {SIZE // 512} VMFS "web1-flat.vmdk"\n', text)
        self.assertIn('\ncreateType="vmfs"\n', text)
        text = self.get(FLAT.replace("-flat", "-000001"))[2].decode()
        self.assertIn('\nparentFileNameHint="web1.vmdk"\n', text)


class Several(unittest.TestCase):
    """Two datacenters, two VMs of one name, one of them with two disks."""

    def test_each_has_its_own(self):
        with tempfile.TemporaryDirectory() as directory:
            images = [os.path.join(directory, f"{number}.img") for number in range(3)]
            for number, image in enumerate(images):
                with open(image, "wb") as file:
                    file.write(bytes([number + 1]) * K64 * (number + 1))
            sim = Simulator(directory, "--vm", "/DC0/vm/web1=vm-1", "--disk", f"2000={images[0]}",
                            "--disk", f"2001={images[1]}", "--vm", "/DC1/vm/web1=vm-2",
                            "--disk", f"2000={images[2]}", "--task-ms", "20")
            try:
                self.check(sim)
            finally:
                sim.close()

    def check(self, sim):
        sim.login()
        self.assertEqual(sim.request("GET", "/_test/write?offset=0&length=1&byte=9")[0], 400)  # which?
        snapshot = sim.snapshot("vm-1")
        sim.control("write", vm="vm-1", disk=2001, offset=0, length=1, byte=9)
        for key, blocks in ((2000, 1), (2001, 2)):
            self.assertEqual(sim.changes("vm-1", snapshot, "*", blocks * K64, key), [(0, blocks * K64)])
        for path, status, content in (("web1_1-flat.vmdk?dcPath=DC0", 200, bytes([2]) * 2 * K64),
                                      ("web1-flat.vmdk?dcPath=DC0", 200, bytes([1]) * K64),
                                      ("web1-flat.vmdk?dcPath=DC1", 500, b""),  # no snapshot
                                      ("web1_1-flat.vmdk?dcPath=DC1", 404, b"")):
            got = sim.request("GET", f"/folder/web1/{path}&dsName=datastore1", headers=BASIC)
            self.assertEqual((got[0], got[2]), (status, content), path)
        since = [sim.disk("VirtualMachineSnapshot", snapshot, key).findtext("backing/changeId")
                 for key in (2000, 2001)]
        self.assertNotEqual(since[0].partition("/")[0], since[1].partition("/")[0])
        sim.remove(snapshot)
        snapshot = sim.snapshot("vm-1")
        self.assertEqual(sim.changes("vm-1", snapshot, since[0], K64, 2000), [])
        self.assertEqual(sim.changes("vm-1", snapshot, since[1], 2 * K64, 2001), [(0, K64)])
        with self.assertRaises(FaultSeen):  # of the other disk
            sim.page("vm-1", snapshot, since[1], 0, 2000)


if __name__ == "__main__":
    unittest.main()
