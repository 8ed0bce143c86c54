# SPDX-License-Identifier: BSD-3-Clause
"""The power of a VM: its state, who changed it, and how its guest shuts down."""

import threading
import time

from simulator.api.faults import Fault
from simulator.api.values import leaf, now

ON, OFF, SUSPENDED = "poweredOn", "poweredOff", "suspended"


class Power:
    """The VM's lock protects it. Whoever waits for the guest does so without that."""

    def __init__(self, vm):
        self.vm = vm
        self.state = ON
        self.boot_time = now()
        self.clean = None  # off: whether the guest has shut down; None: it is on
        self.tools = True  # run in the guest, while it is on
        self.shutdown_seconds = 0.0  # from ShutdownGuest to the power-off; None: the guest never gets there
        self.shutting_down = None  # an Event that ends the guest's shutting down without effect
        self.question = None  # text; while it is there, tasks that switch the VM on do not end
        self.log = []  # dicts: what has become of it, by whom, and when, in seconds since 1970

    @property
    def on(self):
        return self.state == ON

    def set(self, state, by, clean=False):
        """by: "api", "guest", or "somebody", who is outside of what a test drives."""
        vm = self.vm
        with vm.lock:
            if state == self.state:
                return
            if self.on:
                vm.guest.stop(clean)
            if self.shutting_down:
                self.shutting_down.set()
                self.shutting_down = None
            self.state, self.boot_time = state, now() if state == ON else None
            self.clean = clean if state == OFF else None
            vm.stun()
            self.log.append({"state": state, "by": by, "clean": clean, "time": time.time()})
            if state == ON:
                vm.guest.start()

    # --- what the API asks for

    def switch_on(self, closing):
        """In a task."""
        self._refuse_if(self.state == ON, ON)
        while self.question and not closing.is_set():
            closing.wait(0.02)
        self.set(ON, "api")

    def switch_off(self):
        """In a task."""
        self._refuse_if(self.state != ON, OFF)
        self.set(OFF, "api")

    def shut_down_guest(self):
        """The guest does it by itself, and is off some time later."""
        with self.vm.lock:
            self._refuse_if(self.state != ON, OFF)
            if not self.tools:
                raise Fault("ToolsUnavailable", "Cannot complete operation because VMware Tools is not running in this "
                                                "virtual machine.")
            if self.shutting_down is not None:
                return
            stopped = self.shutting_down = threading.Event()
            if self.shutdown_seconds is not None:
                threading.Thread(target=self._shut_down, args=(stopped, self.shutdown_seconds), daemon=True).start()

    def _shut_down(self, stopped, seconds):
        if not stopped.wait(seconds):
            with self.vm.lock:
                if self.shutting_down is stopped:
                    self.set(OFF, "guest", clean=True)

    def _refuse_if(self, wrong, requested):
        if wrong:
            name = {ON: "Powered on", OFF: "Powered off", SUSPENDED: "Suspended"}[self.state]
            raise Fault("InvalidPowerState",
                        f"The attempted operation cannot be performed in the current state ({name}).",
                        (leaf("requestedState", requested) if requested else "") + leaf("existingState", self.state))
