# SPDX-License-Identifier: BSD-3-Clause
"""Sessions, inventory and files, over HTTPS."""

import concurrent.futures
import os
import unittest
from urllib.parse import quote

from unit.case import BASIC, FLAT, K64, SIZE, VM, Case


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


class Datastores(Case):
    """A machine that is not on the usual datastore nor in a directory of its name."""
    arguments = ("--vm-datastore", "one] two", "--vm-directory", "a] b")

    def test_names(self):
        self.sim.login()
        backing = self.sim.disk(*VM).find("backing")
        self.assertEqual(backing.findtext("fileName"), "[one] two] a] b/web1.vmdk")
        at = backing.find("datastore")
        self.assertEqual(self.sim.properties("Datastore", at.text, "name")["name"].text, "one] two")
        self.assertEqual(self.sim.properties(*VM, "datastore")["datastore"].find("*").text, at.text)
        self.sim.control("backing", datastore=0)
        self.assertIsNone(self.sim.disk(*VM).find("backing/datastore"))

    def test_files(self):
        self.sim.login()
        self.sim.snapshot("vm-42")
        for path, datastore, status in (("a] b/web1", "one] two", 200), ("two] a] b/web1", "one", 404),
                                        ("b/web1", "one] two] a", 404), ("a] b/web1", "datastore1", 404)):
            self.assertEqual(self.get(f"/folder/{quote(path)}.vmdk?dcPath=F/DC0&dsName="
                                      f"{quote(datastore)}")[0], status, path)


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


if __name__ == "__main__":
    unittest.main()


if __name__ == "__main__":
    unittest.main()
