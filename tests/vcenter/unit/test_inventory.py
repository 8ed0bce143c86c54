# SPDX-License-Identifier: BSD-3-Clause
"""The inventory and properties over HTTPS."""

import unittest
from urllib.parse import quote

from unit.case import VM, Case


class Inventory(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()

    def find(self, path):
        found = self.sim.call("FindByInventoryPath", "SearchIndex", "SearchIndex",
                              f"<inventoryPath>{path}</inventoryPath>").find("returnval")
        return None if found is None else (found.get("type"), found.text)

    def test_objects_are_found_by_path(self):
        self.assertEqual(self.find("/F/DC0/vm/dir%2fx/web1"), VM)
        self.assertEqual(self.find("F/DC0/vm/dir%2Fx/web1"), VM)
        self.assertIsNone(self.find("/F/DC0/vm/dir/x/web1"))
        self.assertEqual(self.find("/F/DC0")[0], "Datacenter")
        self.assertEqual(self.find("/F/DC0/datastore/datastore1")[0], "Datastore")

    def test_a_vm_is_found_by_uuid(self):
        known = self.sim.properties(*VM, "config.uuid", "config.instanceUuid")
        for path, instance in (("config.uuid", "false"), ("config.instanceUuid", "true")):
            for flag, expected in ((instance, "vm-42"), ("true" if instance == "false" else "false", None)):
                found = self.sim.call("FindByUuid", "SearchIndex", "SearchIndex",
                                      f"<uuid>{known[path].text}</uuid><vmSearch>true</vmSearch>"
                                      f"<instanceUuid>{flag}</instanceUuid>")
                self.assertEqual(found.findtext("returnval"), expected)

    def test_parents_lead_to_the_datacenter(self):
        at, names = VM, []
        while at[0] != "Datacenter":
            parent = self.sim.properties(*at, "parent")["parent"]
            at = (parent.get("type"), parent.text)
            names.append(self.sim.properties(*at, "name")["name"].text)
        self.assertEqual(names, ["dir%2fx", "vm", "DC0"])

    def test_any_object_tells_one_property(self):
        fetched = self.sim.call("Fetch", *VM, "<prop>name</prop>")
        self.assertEqual(fetched.findtext("returnval"), "web1")
        datacenter = self.sim.call("Fetch", "Folder", "group-d1", "<prop>childEntity</prop>").findall("returnval")
        self.assertEqual([one.get("type") for one in datacenter], ["Folder"])
        self.assertIsNone(self.sim.call("Fetch", *VM, "<prop>snapshot</prop>").find("returnval"))
        self.fault("InvalidProperty", self.sim.call, "Fetch", *VM, "<prop>nonsense</prop>")

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

    def test_properties_set_unset_and_unknown(self):
        got = self.sim.properties(*VM, "snapshot", "config.template", "runtime", "config.files")
        self.assertEqual(sorted(got), ["config.files", "config.template", "runtime"])  # no snapshot
        self.assertEqual(got["runtime"].findtext("powerState"), "poweredOn")
        self.sim.control("template", on=1)
        self.sim.control("mode", mode="independent_persistent")
        self.assertEqual(self.sim.properties(*VM, "config.template")["config.template"].text, "true")
        self.assertEqual(self.sim.disk(*VM).findtext("backing/diskMode"), "independent_persistent")
        self.assertIn("InvalidProperty", self.fault("InvalidProperty", self.sim.properties, *VM, "nmae"))
        self.fault("ManagedObjectNotFound", self.sim.properties, "VirtualMachine", "vm-1", "name")
        self.fault("MethodNotFound", self.sim.call, "ResetVM_Task", *VM)


class Datastores(Case):
    """A VM on another datastore, in a directory with another name."""
    arguments = ("--vm-datastore", "one] two", "--vm-directory", "a] b")

    def test_the_backing_names_the_datastore(self):
        self.sim.login()
        backing = self.sim.disk(*VM).find("backing")
        self.assertEqual(backing.findtext("fileName"), "[one] two] a] b/web1.vmdk")
        at = backing.find("datastore")
        self.assertEqual(self.sim.properties("Datastore", at.text, "name")["name"].text, "one] two")
        self.assertEqual(self.sim.properties(*VM, "datastore")["datastore"].find("*").text, at.text)
        self.sim.control("backing", datastore=0)
        self.assertIsNone(self.sim.disk(*VM).find("backing/datastore"))

    def test_files_are_found_there_only(self):
        self.sim.login()
        self.sim.snapshot("vm-42")
        for path, datastore, status in (("a] b/web1", "one] two", 200), ("two] a] b/web1", "one", 404),
                                        ("b/web1", "one] two] a", 404), ("a] b/web1", "datastore1", 404)):
            self.assertEqual(self.get(f"/folder/{quote(path)}.vmdk?dcPath=F/DC0&dsName="
                                      f"{quote(datastore)}")[0], status, path)


if __name__ == "__main__":
    unittest.main()
