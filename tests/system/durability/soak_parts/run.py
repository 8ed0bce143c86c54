# SPDX-License-Identifier: BSD-3-Clause
"""One run of nbdkit-replicate."""

import contextlib
import json
import os
import signal
import subprocess
import time

from soak_parts import processes
from soak_parts.moments import Seen
from soak_parts.violation import Violation

STATE = "state/web1.state"
POLL = 0.01  # seconds between two looks at what the run does


class Run:
    """The command and its processes. They have a mark in their environment, by which they are found."""

    def __init__(self, number, command, environment, vcenter):
        self._mark = f"SOAK_RUN={number}"
        self._vcenter = vcenter
        self._before = vcenter.counters()
        self._state = _identity(STATE)
        self._roles = {}  # role -> process, of those seen so far
        self._started = time.monotonic()
        with open("run.log", "wb") as log:
            self.command = processes.start(command, log, "TERM", SOAK_RUN=str(number), **environment)

    def look(self):
        now = self._vcenter.counters()
        running = {role: process for process in processes.children(self.command.pid)
                   if (role := _role(processes.command_line(process)))}
        self._roles |= running
        return Seen(time.monotonic() - self._started, now.copied - self._before.copied,
                    now.asked > self._before.asked, now.taken > self._before.taken,
                    now.removals > self._before.removals, _identity(STATE) != self._state, frozenset(self._roles),
                    frozenset(self._roles.keys() - running.keys()))

    def finish(self, on_look):
        """Calls on_look(seen) again and again until it returns False or the command has ended. Returns the command's exit
        status, once all its processes have ended; -N for signal N."""
        deadline = time.monotonic() + processes.DEADLINE
        while self.command.poll() is None and on_look(self.look()):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL)
        try:
            self.command.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Violation(f"the run did not end in {processes.DEADLINE} seconds") from None
        processes.until(lambda: not self.processes(), "the end of the processes of a run that has ended, which are "
                        f"{[processes.command_line(p)[:8] for p in self.processes()]}")
        return self.command.returncode

    def kill(self, role):
        """Returns whether that process has been started."""
        if role == "command":
            processes.kill(self.command.pid)
            return True
        process = self._roles.get(role)
        if process is None:
            return False
        if _role(processes.command_line(process)) == role:  # it has not ended
            processes.kill(process)
        return True

    @contextlib.contextmanager
    def stopped(self):
        """The command does nothing meanwhile; its servers and its client go on."""
        if self.command.poll() is None:
            self.command.send_signal(signal.SIGSTOP)
            processes.until(lambda: processes.state(self.command.pid) in "TZX", "the stop of the command")
        try:
            yield
        finally:
            self.command.send_signal(signal.SIGCONT)

    def copies(self):
        """Whether the client runs. A command that is stopped has not seen its end."""
        process = self._roles.get("nbdcopy")
        return process is not None and _role(processes.command_line(process)) == "nbdcopy"

    def kill_all(self):
        processes.kill_all([processes.TOKEN, self._mark])

    def terminate(self):
        if self.command.poll() is None:
            self.command.terminate()

    def processes(self):
        return processes.belonging([processes.TOKEN, self._mark])


def image_content(image, may_be_dirty):
    """The bytes of a QCOW2 image that is complete and sound. may_be_dirty: or says of itself that it is to be
    repaired."""
    check = subprocess.run(["qemu-img", "check", "-q", image], capture_output=True, text=True, check=False)
    if check.returncode != 0 and not (may_be_dirty and _is_dirty(image)):
        raise Violation(f"qemu-img check of the image: {check.stdout}{check.stderr}")
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, "image.raw"], check=True)
    with open("image.raw", "rb") as file:
        return file.read()


def _is_dirty(image):
    info = subprocess.run(["qemu-img", "info", "--output=json", image], capture_output=True, check=True)
    return json.loads(info.stdout).get("dirty-flag", False)


def _identity(path):
    try:
        status = os.stat(path)
        return status.st_ino, status.st_mtime_ns
    except FileNotFoundError:
        return None


def _role(words):
    if "-U" in words[:-1]:
        socket = os.path.basename(words[words.index("-U") + 1])
        return "source" if socket == "source.sock" else "destination"
    return "nbdcopy" if "nbdcopy" in words else None
