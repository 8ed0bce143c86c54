# SPDX-License-Identifier: BSD-3-Clause
"""The state of the simulator: inventory, sessions, tasks, injected faults, counters, log."""

import collections
import contextlib
import threading
import time
import traceback

from simulator.api.before_methods import BeforeMethods
from simulator.api.injected_faults import InjectedFaults
from simulator.api.sessions import Sessions
from simulator.model.tasks import Tasks
from simulator.http.tickets import Tickets


class Service:
    def __init__(self, inventory, log_path, user, password, page, delay_ms, task_ms):
        self.inventory = inventory
        self.page = page  # bytes that one answer of QueryChangedDiskAreas describes
        self.delay = delay_ms / 1000  # before each /folder request is answered
        self.sessions = Sessions(user, password)
        self.tickets = Tickets()
        self.tasks = Tasks(inventory, task_ms)
        self.closing = self.tasks.closing
        self.injected_faults = InjectedFaults()
        self.before = BeforeMethods()
        self.most_objects = 1000  # in one answer of the property collector
        self.retrievals = {}  # token -> the rest, for ContinueRetrievePropertiesEx
        self.lock = threading.Lock()  # protects the counters and the log
        self.admission = threading.Condition(self.lock)  # what /folder requests wait for has changed
        self.gathering = 0  # /folder requests; they wait until so many have come
        self.held = range(0)  # bytes: /folder requests for what begins here wait
        self.counts = collections.Counter()  # SOAP method -> calls
        self.host_requests = 0  # of those, answered by the ESXi host
        self.folder = {"requests": 0, "bytes": 0, "at_once": 0, "most_at_once": 0}
        self.log_file = open(log_path, "a", encoding="utf-8", buffering=1)

    def count(self, method):
        with self.lock:
            self.counts[method] += 1

    def count_folder(self, requests=0, sent=0, on_host=False):
        with self.lock:
            self.host_requests += on_host
            self.folder["requests"] += requests
            self.folder["bytes"] += sent

    @contextlib.contextmanager
    def in_folder(self):
        """Counts the /folder requests that run at the same time."""
        with self.lock:
            self.folder["at_once"] += 1
            self.folder["most_at_once"] = max(self.folder["most_at_once"],
                                              self.folder["at_once"])
            self.admission.notify_all()
        try:
            yield
        finally:
            with self.lock:
                self.folder["at_once"] -= 1

    def admit(self, asked):
        """Waits until as many /folder requests as are wanted were there at the same time, and until what this one asks
        for, a range or None, is not held."""
        with self.lock:
            self.admission.wait_for(lambda: self.folder["most_at_once"] >= self.gathering, 60)
            self.admission.wait_for(lambda: asked is None or asked.start not in self.held, 600)

    def log(self, line):
        with self.lock:
            self.log_file.write(f"{time.strftime('%H:%M:%S')}.{time.time_ns() // 1000000 % 1000:03} "
                                f"{line}\n")

    def log_exception(self):
        self.log("exception: " + traceback.format_exc().rstrip().replace("\n", "\n  "))
