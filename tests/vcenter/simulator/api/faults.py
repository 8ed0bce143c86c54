# SPDX-License-Identifier: BSD-3-Clause
"""The faults of the vSphere API, and those that a test has ordered for the next calls."""

import threading

from simulator.api.values import leaf, tag
from xml.sax.saxutils import escape

CBT_KEY = "vim.hostd.vmsvc.cbt."
UNAVAILABLE = "503"  # the kind of what is no fault of the API, but an HTTP status


class Fault(Exception):
    """A fault of the API: its xsi:type, its fields as XML, and the sentence for people."""

    def __init__(self, kind, message="", fields=""):
        super().__init__(message or kind)
        self.kind, self.message, self.fields = kind, message, fields

    def detail(self):
        """As in the detail of a soapenv:Fault."""
        return (leaf("faultcode", "ServerFaultCode") + leaf("faultstring", self.message) +
                tag("detail", f'<{self.kind}Fault xmlns="urn:vim25" xsi:type="{self.kind}">'
                              f'{self.fields}</{self.kind}Fault>'))

    def localized(self):
        """The inside of a LocalizedMethodFault, as in the error of a task."""
        return (tag("fault", self.fields, xsi=self.kind) +
                leaf("localizedMessage", self.message or self.kind))


def invalid_argument(name=None):
    return Fault("InvalidArgument", "A specified parameter was not correct: " + (name or ""),
                 leaf("invalidProperty", name) if name else "")


def not_found(kind, moref):
    return Fault("ManagedObjectNotFound",
                 "The object has already been deleted or has not been completely created",
                 tag("obj", escape(moref), ref=kind))


def file_fault(path, key, message=""):
    said = tag("faultMessage", leaf("key", key) + (leaf("message", message) if message else ""))
    return Fault("FileFault", f"Error caused by file {path}", said + leaf("file", path))


class Ordered:
    """One order of a test: the next COUNT calls of WHERE, after the first AFTER, go wrong."""

    def __init__(self, where, kind, count=1, after=0, key="", message="", in_task=False, seconds=30.0):
        self.where, self.kind, self.count, self.after = where, kind, count, after
        self.key, self.message, self.in_task, self.seconds = key, message, in_task, seconds

    def fault(self):
        if self.kind == "FileFault":
            return file_fault("/vmfs/volumes/ds/vm/disk.vmdk", self.key or CBT_KEY + "cannotGetChanges",
                              self.message)
        if self.kind == "InvalidArgument":
            return invalid_argument(self.key or None)
        if self.kind == "NotAuthenticated":
            return Fault("NotAuthenticated", self.message, leaf("privilegeId", "System.View"))
        return Fault(self.kind, self.message or f"{self.kind} ordered by the test")


class Orders:
    def __init__(self):
        self.lock = threading.Lock()  # of the list and the counts in it
        self.list = []

    def add(self, order):
        with self.lock:
            self.list.append(order)

    def clear(self):
        with self.lock:
            self.list.clear()

    def due(self, *places, in_task=False):
        """The order to carry out now at one of the places, or None. Counts this call."""
        with self.lock:
            for order in self.list:
                if order.where in places and order.in_task == in_task:
                    if order.after > 0:
                        order.after -= 1
                        continue
                    order.count -= 1
                    if order.count <= 0:
                        self.list.remove(order)
                    return order
        return None
