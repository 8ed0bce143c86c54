# SPDX-License-Identifier: BSD-3-Clause
"""points_rounds.py BUILD PLAN ROUNDS SEED: nights on which things go wrong at random.

PLAN has one machine, whose only disk is disk.img. Each round the disk changes, a run begins and may be killed, alone or with
its servers; then prune may run, and be killed; then an image may be lost. After each of these, what is listed as complete must
read as the disk was when the run with that time began. At the end of each round runs that nothing disturbs must make a point.
"""
import datetime
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
SOURCE = os.environ["SOURCE"]
sys.path[:0] = [f"{SOURCE}/scripts", f"{SOURCE}/tests/system", f"{SOURCE}/tests/system/replicate"]

# pylint: disable=wrong-import-position
import night  # noqa: E402
from runs_of_command import programs_here, wait_until  # noqa: E402
from nbdkit_replicate.main import main  # noqa: E402
from nbdkit_replicate.plan.reading import read_plan  # noqa: E402
from nbdkit_replicate.points.machines import machines_of_plan, points_of  # noqa: E402
from nbdkit_replicate.points.naming import time_text  # noqa: E402

for room in "prune.disk", "verbs.prune":  # before they are begun again and again
    importlib.import_module("nbdkit_replicate." + room)

DISK = "disk.img"
LONGEST = 1.2  # seconds until a kill


class Rounds:
    def __init__(self, build, plan, seed):
        self._build, self._plan = build, plan
        self._random = random.Random(seed)
        self._now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        self.kills = self.points = 0

    def round(self):
        self._change_disk()
        self._run(self._random.random() < 0.7)
        if self._random.random() < 0.5:
            self._begin(lambda: self._verb("prune", self._plan), self._random.random() < 0.5, "prune")
        if self._random.random() < 0.2:
            self._lose()
        for _ in range(3):  # one may find that everything has to be copied
            time_of_run = self._run(False)
            if time_of_run in self._complete():
                return
        self._fail("nothing disturbs the runs, and there is no point")

    def _change_disk(self):
        size = os.path.getsize(DISK)
        if self._random.random() < 0.1:
            size += 65536 * self._random.randint(1, 4)
            os.truncate(DISK, size)
        with open(DISK, "r+b") as file:
            for _ in range(self._random.randint(0, 4)):
                file.seek(self._random.randrange(size - 70000))
                file.write(self._random.randbytes(70000) if self._random.random() < 0.7 else bytes(70000))
        if self._random.random() < 0.1:
            for name in "disk.digests", "disk.digests.next":
                if os.path.exists(name):
                    os.unlink(name)

    def _run(self, is_killed):
        self._now += datetime.timedelta(hours=self._random.randint(1, 40))
        now = time_text(self._now)
        shutil.copyfile(DISK, f"{now}.ref")
        self._begin(lambda: self._night(now), is_killed, f"the run of {now}")
        return now

    def _night(self, now):
        plan = read_plan(self._plan, self._build)
        return night.run(plan, plan.machines[0], now)

    def _verb(self, *words):
        sys.argv[1:] = words
        return main()

    def _begin(self, action, is_killed, what):
        child = os.fork()
        if child == 0:
            with open("rounds.log", "a", encoding="utf-8") as log:
                os.dup2(log.fileno(), 2)
            print(f"-- {what}", file=sys.stderr, flush=True)
            try:
                os._exit(action())
            except Exception as e:  # a run that is refused
                print(f"{type(e).__name__}: {e}", file=sys.stderr, flush=True)
                os._exit(1)
        if is_killed:
            time.sleep(self._random.uniform(0, LONGEST))
            self._kill(child, self._random.random() < 0.7)
        os.waitpid(child, 0)
        # Those that were killed, or end because the command was.
        wait_until(lambda: not programs_here("nbdkit", "nbdcopy", "qemu-img", "nbdinfo"))
        self._check(what)

    def _kill(self, child, with_programs):
        with open(f"/proc/{child}/task/{child}/children", encoding="ascii") as file:
            programs = [int(one) for one in file.read().split()]
        self.kills += 1
        for process in (child, *(programs if with_programs else ())):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _lose(self):
        points = [point for machine in machines_of_plan(self._plan) for point in points_of(machine).points]
        if points:
            os.unlink(self._random.choice(points).path)
            self._check("an image is lost")

    def _complete(self):
        points = [point for machine in machines_of_plan(self._plan) for point in points_of(machine).points]
        return {point.time: point for point in points if point.is_complete}

    def _check(self, when):
        for one, point in self._complete().items():
            self.points += 1
            done = subprocess.run(["qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", point.path, f"{one}.ref"],
                                  capture_output=True, text=True, check=False)
            if done.returncode != 0:
                self._fail(f"after {when}: {point.path} is listed as complete, and is not what the disk was: {done.stderr}")

    @staticmethod
    def _fail(text):
        with open("rounds.log", encoding="utf-8") as log:
            sys.exit(f"{log.read()}\n{text}")


if __name__ == "__main__":
    given_build, given_plan, count, given_seed = sys.argv[1:]
    rounds = Rounds(given_build, given_plan, int(given_seed))
    for number in range(int(count)):
        rounds.round()
    print(f"{rounds.kills} kills, {rounds.points} points read")
