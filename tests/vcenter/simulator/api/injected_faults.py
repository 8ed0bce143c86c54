# SPDX-License-Identifier: BSD-3-Clause
"""The faults that a test has injected into later calls."""

import threading

from simulator.api.faults import CBT_KEY, Fault, file_fault, invalid_argument
from simulator.api.values import leaf

UNAVAILABLE = "503"  # a kind that is an HTTP status and no fault of the API


class InjectedFault:
    """Makes COUNT calls of WHERE fail, after AFTER more calls; these are counted once BEHIND, if any, has been called."""

    def __init__(self, where, kind, count=1, after=0, key="", message="", in_task=False, seconds=30.0,
                 part=None, behind=""):
        self.where, self.kind, self.count, self.after = where, kind, count, after
        self.key, self.message, self.in_task, self.seconds = key, message, in_task, seconds
        self.behind = behind  # a method
        self.part = part  # a range(): of requests for parts of files only those that overlap it fail

    def fault(self):
        if self.kind == "FileFault":
            return file_fault("/vmfs/volumes/ds/vm/disk.vmdk", self.key or CBT_KEY + "cannotGetChanges",
                              self.message)
        if self.kind == "InvalidArgument":
            return invalid_argument(self.key or None)
        if self.kind == "NotAuthenticated":
            return Fault("NotAuthenticated", self.message, leaf("privilegeId", "System.View"))
        return Fault(self.kind, self.message or f"{self.kind} injected by the test")


def _overlap(part, asked):
    return part is None or asked is None or (asked.start < part.stop and part.start < asked.stop)


class InjectedFaults:
    """Those that are still to come, oldest first."""

    def __init__(self):
        self.lock = threading.Lock()  # protects the list and the counts in it
        self.pending = []

    def add(self, injected):
        with self.lock:
            self.pending.append(injected)

    def clear(self):
        with self.lock:
            self.pending.clear()

    def called(self, method):
        """The faults behind this method begin to count."""
        with self.lock:
            for injected in self.pending:
                if injected.behind == method:
                    injected.behind = ""

    def take(self, *places, in_task=False, asked=None):
        """Counts a call at one of the places. Returns the fault with which it fails, or None. asked: a range() of a file."""
        with self.lock:
            for injected in self.pending:
                if (injected.where in places and injected.in_task == in_task and not injected.behind and
                        _overlap(injected.part, asked)):
                    if injected.after > 0:
                        injected.after -= 1
                        continue
                    injected.count -= 1
                    if injected.count <= 0:
                        self.pending.remove(injected)
                    return injected
        return None
