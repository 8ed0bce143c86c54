# SPDX-License-Identifier: BSD-3-Clause
"""Tasks: queued, running with progress, and then success or error, so that clients must poll them."""

import math
import threading
import time

from simulator.api.faults import Fault
from simulator.model.objects import ManagedObject
from simulator.api.values import AnyReference, Reference, Value, boolean, enumeration, integer, now, string


class Task(ManagedObject):
    def __init__(self, moref, name, entity):
        super().__init__("Task", moref)
        self.name, self.entity = name, entity
        self.lock = threading.Lock()  # protects all below
        self.state, self.progress, self.result, self.error = "queued", None, None, None
        self.queued, self.started, self.completed = now(), None, None

    def properties(self):
        with self.lock:
            return {
                "info.key": string(self.moref), "info.task": Reference(self),
                "info.name": string(self.name), "info.entity": Reference(self.entity),
                "info.state": enumeration("TaskInfoState", self.state),
                "info.cancelled": boolean(False), "info.cancelable": boolean(False),
                "info.error": Value("LocalizedMethodFault", self.error.localized())
                              if self.error else None,
                "info.result": AnyReference(self.result) if self.result else None,
                "info.progress": integer(self.progress) if self.progress is not None else None,
                "info.queueTime": Value("xsd:dateTime", self.queued),
                "info.startTime": Value("xsd:dateTime", self.started) if self.started else None,
                "info.completeTime": Value("xsd:dateTime", self.completed) if self.completed else None,
            }

    def step(self, state, progress=None, result=None, error=None):
        with self.lock:
            self.state, self.progress, self.result, self.error = state, progress, result, error
            if state == "running" and self.started is None:
                self.started = now()
            if state in ("success", "error"):
                self.completed = now()


class Tasks:
    def __init__(self, inventory, milliseconds):
        self.inventory, self.seconds = inventory, milliseconds / 1000
        self.paced = threading.Condition()  # protects seconds
        self.closing = threading.Event()  # ends all waiting

    def start(self, name, vm, work, injected=None):
        """Starts a task on a VM, which runs one at a time. work() returns its result. injected: the fault
        with which it fails instead."""
        if not vm.busy.acquire(blocking=False):
            raise Fault("TaskInProgress", "Another task is already in progress.")
        task = self.inventory.add(Task(self.inventory.new_moref("task"), name, vm))
        threading.Thread(target=self._run, args=(task, vm, work, injected), daemon=True).start()
        return task

    def pace(self, milliseconds):
        """How long a task lasts, also those that run."""
        with self.paced:
            self.seconds = milliseconds / 1000
            self.paced.notify_all()

    def close(self):
        self.closing.set()
        with self.paced:
            self.paced.notify_all()

    def _wait(self, most=math.inf):
        """For a quarter of a task, and at most so many seconds."""
        began = time.monotonic()
        with self.paced:
            while not self.closing.is_set() and (left := began + min(most, self.seconds / 4) - time.monotonic()) > 0:
                self.paced.wait(left)

    def _run(self, task, vm, work, injected):
        outcome = {"state": "error", "error": Fault("SystemError", "the simulator failed")}
        try:
            self._wait(1)  # in the queue
            for progress in (5, 40, 80):
                task.step("running", progress)
                self._wait()
            if injected:
                raise injected.fault()
            outcome = {"state": "success", "result": work()}
        except Fault as fault:
            outcome = {"state": "error", "error": fault}
        finally:
            vm.busy.release()
            task.step(**outcome)
