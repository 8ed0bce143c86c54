# SPDX-License-Identifier: BSD-3-Clause
"""One disk's part of a run: its destination server, nbdcopy, and what the state says in the end."""
import os
import signal
import subprocess

import nbd

from .. import Failure, say
from ..plan.checks import check_copy, check_state, late_destinations
from ..programs.source import Facts
from ..parameters import value
from ..programs.server import Server, outcome

# Beside Failure: what the system and the other programs may do to us.
TROUBLE = (OSError, ValueError, KeyError, nbd.Error, subprocess.CalledProcessError)


class Replica:
    def __init__(self, copy, run):
        self.copy = copy
        self.run = run
        self.target = None  # its server
        self.client = None  # nbdcopy
        self.complete = False

    def say(self, text):
        say(f"disk {self.copy.disk}: {text}" if self.copy.disk else text)

    def interrupt(self, number):
        """The client ends; who waits for it ends the server. By SIGKILL both are ended: what is owed is known
        at every instant."""
        if self.client and self.client.poll() is None:
            self.client.send_signal(number)
        if self.target and number == signal.SIGKILL:
            self.target.kill()

    def steps(self, source, place):
        """All of it (run.py). place: the beginning of the names of temporary files."""
        try:
            yield from self.replicate(source, place)
            self.complete = True
        except Failure as e:
            self.say(str(e))
        except TROUBLE as e:
            self.say(f"{e}")

    def replicate(self, source, place):
        copy = self.copy
        self.run.check()
        check_copy(copy)  # of those with a state it is known; the source has told of the others
        facts = Facts(source.uri(copy.export))
        self.say(facts.told())
        stats = value(copy.parameters, "fanout-stats") or place + ".stats"
        if copy.also:
            os.makedirs(copy.fanout_directory(), exist_ok=True)
        command = copy.target(source.uri(copy.export), facts.sectors(), stats)
        self.target = Server("destination", command, place + ".sock", self.run.target_password)
        sound = True
        try:
            yield from self.target.wait_ready(self.run.check)
            self.run.check()
            self.start_client(source)
            while (status := self.client.poll()) is None:
                yield
            self.run.check()
            if status != 0:
                self.say(f"nbdcopy ended with {outcome(status)}, see above")
                sound = False
        finally:
            sound = (yield from self.target.stop()) and sound
        if not sound:
            raise Failure("the copy is not complete; run the same again to go on")
        check_state(copy.state, facts)
        if copy.also and (late := late_destinations(stats)):
            raise Failure("; ".join(late) + "; see above, and run the same again")

    def start_client(self, source):
        progress, pipe = None, None
        if self.run.progress:
            pipe = self.run.progress.pipe_for(self.copy.disk)
            progress = f"--progress={pipe}"
        elif self.copy.job.progress:
            progress = "--progress"
        command = self.copy.client(source.uri(self.copy.export), self.target.uri(), progress)
        self.client = subprocess.Popen(command, process_group=0, pass_fds=[pipe] if pipe else [])
        if pipe:
            os.close(pipe)
        if self.run.signal is not None:  # it came a moment ago
            self.client.terminate()
