# SPDX-License-Identifier: BSD-3-Clause
"""A small client of the simulator, independent of its code."""

import http.client
import json
import os
import ssl
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from urllib.parse import urlencode
from xml.sax.saxutils import escape

_ENVELOPE = ('<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
             '<s:Body><{0} xmlns="urn:vim25"><_this type="{1}">{2}</_this>{3}</{0}></s:Body></s:Envelope>')
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}type"


class FaultSeen(Exception):
    def __init__(self, kind, body):
        super().__init__(kind)
        self.kind, self.body = kind, body


class Simulator:
    """A process of the simulator, and one connection to it."""

    def __init__(self, directory, *arguments):
        ready = os.path.join(directory, "ready")
        program = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vcenter.py")
        self.process = subprocess.Popen([sys.executable, program, "--directory", directory,
                                         "--ready", ready, *arguments])
        wait_for(lambda: os.path.exists(ready) or self.process.poll() is not None)
        with open(ready, encoding="utf-8") as file:
            self.facts = json.load(file)
        self.cookie = None
        self.connection = self.connect()

    def connect(self):
        context = ssl.create_default_context(cafile=self.facts["cafile"])
        return http.client.HTTPSConnection(self.facts["host"], context=context, timeout=600)

    def close(self):
        """Ends the simulator; returns its exit status."""
        self.connection.close()
        self.process.terminate()
        return self.process.wait(600)

    def request(self, verb, path, body=None, headers=None):
        """(status, headers, bytes)"""
        self.connection.request(verb, path, body, headers or {})
        response = self.connection.getresponse()
        return response.status, response.headers, response.read()

    def control(self, name, body=None, **arguments):
        status, _, answer = self.request("POST", f"/_test/{name}?{urlencode(arguments)}", body)
        assert status == 200, answer
        return json.loads(answer)

    def call(self, method, kind, moref, inner=""):
        """Returns the response element without namespaces. Raises FaultSeen for a fault."""
        headers = {"Cookie": self.cookie} if self.cookie else {}
        status, got, body = self.request("POST", "/sdk", _ENVELOPE.format(method, kind, moref, inner),
                                         headers)
        if got.get("Set-Cookie"):
            self.cookie = got["Set-Cookie"].partition(";")[0]
        root = ElementTree.fromstring(body)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        if status != 200:
            raise FaultSeen(next(iter(root.find(".//detail"))).get(_XSI), body.decode())
        return root.find(f".//{method}Response")

    def login(self, user="administrator@vsphere.local", password="s3cret"):
        return self.call("Login", "SessionManager", "SessionManager",
                         f"<userName>{user}</userName><password>{password}</password>")

    def properties(self, kind, moref, *paths):
        """Returns path -> <val> element, for the properties that are set."""
        path_sets = "".join(f"<pathSet>{path}</pathSet>" for path in paths)
        answer = self.call("RetrievePropertiesEx", "PropertyCollector", "propertyCollector",
                           f"<specSet><propSet><type>{kind}</type>{path_sets}</propSet><objectSet>"
                           f'<obj type="{kind}">{moref}</obj></objectSet></specSet><options/>')
        return {one.findtext("name"): one.find("val") for one in answer.iter("propSet")}

    def task(self, *call):
        """Calls a method that starts a task, and waits for its end: (state, result or error)."""
        moref = self.call(*call).findtext("returnval")
        states = []

        def ended():
            info = self.properties("Task", moref, "info.state", "info.result", "info.error")
            states.append(info)
            return info["info.state"].text in ("success", "error")
        wait_for(ended)
        last = states[-1]
        if last["info.state"].text == "error":
            return "error", last["info.error"].find("fault").get(_XSI)
        return "success", last["info.result"].text if "info.result" in last else None

    def snapshot(self, vm, name="backup"):
        state, moref = self.task("CreateSnapshot_Task", "VirtualMachine", vm,
                                 f"<name>{escape(name)}</name><memory>false</memory>"
                                 "<quiesce>false</quiesce>")
        assert state == "success", moref
        return moref

    def remove(self, snapshot):
        return self.task("RemoveSnapshot_Task", "VirtualMachineSnapshot", snapshot,
                         "<removeChildren>false</removeChildren>")

    def disk(self, kind, moref, key=2000):
        """The VirtualDisk element of a VM or snapshot."""
        devices = self.properties(kind, moref, "config.hardware.device")["config.hardware.device"]
        return next(one for one in devices if one.get(_XSI) == "VirtualDisk" and
                    one.findtext("key") == str(key))

    def page(self, vm, snapshot, change_id, start, key=2000):
        """One answer of QueryChangedDiskAreas: (length, [(start, length)])."""
        which = f'<snapshot type="VirtualMachineSnapshot">{snapshot}</snapshot>' if snapshot else ""
        answer = self.call("QueryChangedDiskAreas", "VirtualMachine", vm,
                           f"{which}<deviceKey>{key}</deviceKey><startOffset>{start}</startOffset>"
                           f"<changeId>{escape(change_id)}</changeId>").find("returnval")
        assert answer.findtext("startOffset") == str(start)
        return int(answer.findtext("length")), [
            (int(one.findtext("start")), int(one.findtext("length")))
            for one in answer.iter("changedArea")]

    def changes(self, vm, snapshot, change_id, size, key=2000):
        areas, at = [], 0
        while at < size:
            length, some = self.page(vm, snapshot, change_id, at, key)
            areas, at = areas + some, at + length
        return areas


def wait_for(condition, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not become true")
        time.sleep(0.01)
