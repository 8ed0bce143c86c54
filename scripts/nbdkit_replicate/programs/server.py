# SPDX-License-Identifier: BSD-3-Clause
"""The servers that a run starts."""
import getpass
import os
import re
import signal
import subprocess
import sys

from .. import Failure, say
from ..plan.commands import uri_of

ASK = "password=-"


def ask_password(parameters):
    """It is asked for here, for the servers have no terminal, and is handed on by a descriptor."""
    if ASK not in parameters:
        return None
    return getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def outcome(status):
    return f"signal {-status}" if status < 0 else f"status {status}"


class Server:
    """An nbdkit with a socket of its own; it ends when we do, however that happens."""

    def __init__(self, name, command, socket, password=None):
        """password: for a parameter that asks for one."""
        self.name = name
        self.socket = socket
        self.started = False
        self.ready = socket + ".pid"
        command = [command[0], "-f", "--exit-with-parent", "-U", self.socket, "-P", self.ready, *command[1:]]
        reading = None
        if password is not None:
            reading, writing = os.pipe()
            os.write(writing, password.encode())
            os.close(writing)
            command = [f"password=-{reading}" if word == ASK else word for word in command]
        inherited = [int(match[1]) for word in command if (match := re.fullmatch(r"password=-(\d+)", word))]
        # Out of the terminal's group: its Ctrl-C would end the source before the destination.
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=inherited, process_group=0)
        if reading is not None:
            os.close(reading)

    def uri(self, export=""):
        return uri_of(self.socket, export)

    def is_ready(self):
        return os.path.exists(self.ready) and os.path.getsize(self.ready) > 0

    def wait_ready(self, check):
        """Steps (run.py). check(): throws when it is to be given up."""
        while not self.is_ready():
            check()
            if self.process.poll() is not None:
                raise Failure(f"the {self.name} server did not start, see above")
            yield
        self.started = True

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)

    def stop(self):
        """Steps (run.py) that return whether it ended as it should."""
        if self.process.poll() is None:
            self.process.terminate()
        while (status := self.process.poll()) is None:
            yield
        if status != 0 and self.started:
            say(f"the {self.name} server ended with {outcome(status)}, see above")
        return status == 0
