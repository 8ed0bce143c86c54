# SPDX-License-Identifier: BSD-3-Clause
"""One run: the source, and the replicas of its disks, several at once.

What takes its time is a generator that yields while it waits, here called steps: so one thread, which
signals can interrupt, follows all of it.
"""
import os
import signal
import tempfile
import time

from .. import ME, Failure, say
from ..programs.source import disks_of
from ..parameters import has
from .progress import Progress
from .disk import Replica
from ..programs.server import Server

PAUSE = 0.05  # seconds between two looks


def follow(steps):
    """To their end; returns what they return."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        time.sleep(PAUSE)


def follow_all(waiting, at_once, tick):
    """Each to its end, so many at once. tick(): called now and then."""
    waiting, begun = list(waiting), []
    while waiting or begun:
        while waiting and len(begun) < at_once:
            begun.append(waiting.pop(0))
        done = object()
        begun = [steps for steps in begun if next(steps, done) is not done]
        tick()
        if begun:
            time.sleep(PAUSE)


class Run:
    def __init__(self, job, source_password, target_password):
        self.job = job
        self.source_password = source_password
        self.target_password = target_password
        self.signal = None
        self.replicas = []
        self.progress = Progress() if job.progress and job.several else None
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            signal.signal(number, self.interrupt)

    def interrupt(self, number, _frame):
        """The second time the destinations are not waited for. The source is, for its snapshot's sake."""
        if self.signal is None:
            say(f"{signal.Signals(number).name}: ending, which saves what is owed and removes the snapshot; "
                "once more, and the destination is not waited for")
            with_what = signal.SIGTERM
        else:
            with_what = signal.SIGKILL
        self.signal = number
        for replica in self.replicas:
            replica.interrupt(with_what)

    def check(self):
        if self.signal is not None:
            raise Failure("interrupted; run the same again to go on")

    def run(self):
        """Returns whether everything has been copied."""
        with tempfile.TemporaryDirectory(prefix=ME + ".") as directory:
            source = Server("source", self.job.source(), os.path.join(directory, "source.sock"), self.source_password)
            sound = False
            try:
                follow(source.wait_ready(self.check))
                complete = self.with_source(source, directory)
            finally:
                sound = follow(source.stop())
        if not sound and complete:
            raise Failure("the copy is not complete; run the same again to go on")
        return sound and complete

    def with_source(self, source, directory):
        disks = disks_of(source.uri()) if self.job.several else [None]
        gone = [disk for disk in self.job.disks_with_state() if disk not in disks]
        if has(self.job.given.source, "disk"):  # which leaves the others out
            gone = []
        self.replicas = [Replica(self.job.copy(disk), self) for disk in disks]
        follow_all([replica.steps(source, os.path.join(directory, str(number)))
                    for number, replica in enumerate(self.replicas)],
                   self.job.at_once, self.progress.update if self.progress else lambda: None)
        if self.progress:
            self.progress.end()
        for disk in gone:
            say(f"disk {disk}: the source does not have it any more; if that is right, remove "
                f"{self.job.copy(disk).state}")
        late = sum(not replica.complete for replica in self.replicas)
        if late and self.job.several:
            say(f"{late} of {len(disks)} disks are not complete, see above")
        return not late and not gone
