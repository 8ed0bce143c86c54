# SPDX-License-Identifier: BSD-3-Clause
"""prune_kills.py PLAN REFERENCES steps: prune is killed before each of its steps, on a copy of the images.
prune_kills.py PLAN REFERENCES random KILLS SEED: prune is killed, with qemu-img, at random instants.

Whenever it has been killed, each point that is listed as complete must read as its reference, TIME.ref in REFERENCES; each
that is to be kept must be listed; and the next prune must finish. Run in the directory of the images and the states; PLAN's
names are relative to it.
"""
import glob
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate.main import main  # noqa: E402
from nbdkit_replicate.points.naming import Naming  # noqa: E402
from nbdkit_replicate.points.points import points_in  # noqa: E402
from nbdkit_replicate.points.machines import machines_of_plan, points_of  # noqa: E402

for room in "prune.disk", "verbs.prune":  # before they are begun again and again
    importlib.import_module("nbdkit_replicate." + room)

KILLED = 77
STEPS = ("replace", "rename", "unlink", "pwrite", "fsync")  # of os


def points(plan):
    return [point for machine in machines_of_plan(plan) for point in points_of(machine).points]


def check(plan, references, kept, when):
    complete = {point.time: point for point in points(plan) if point.is_complete}
    missing = [one for one in kept if one not in complete]
    if missing:
        sys.exit(f"{when}: not listed as complete: {', '.join(missing)}")
    for one, point in (*complete.items(), *by_headers_alone()):
        done = compare(point.path, f"{references}/{one}.ref")
        if done.returncode != 0:
            sys.exit(f"{when}: {point.path} is listed as complete, and is not what the disk was: {done.stderr}")


def by_headers_alone():
    """The complete points of a copy of the images without the journal."""
    shutil.rmtree("copy", ignore_errors=True)
    os.mkdir("copy")
    for path in glob.glob("images/*/*.qcow2"):
        os.link(path, f"copy/{os.path.basename(path)}")
    return [(point.time, point) for point in points_in(Naming("copy/{disk}-{time}.qcow2")) if point.is_complete]


def compare(image, reference):
    """A qemu-img whose prune has been killed may have the images for another moment."""
    while True:
        done = subprocess.run(["qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", image, reference],
                              capture_output=True, text=True, check=False)
        if "lock" not in done.stderr:
            return done
        time.sleep(0.01)


def begin_prune(plan, step=None):
    """In a child, which is killed before the step of that number; None: it is not."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        with open("prune.log", "w", encoding="utf-8") as log:
            os.dup2(log.fileno(), 2)
        if step is not None:
            count_steps(step)
        sys.argv[1:] = ["prune", plan]
        os._exit(main())
    return child


def count_steps(last):
    count = 0

    def reach():
        nonlocal count
        if count == last:
            os._exit(KILLED)
        count += 1

    def counted(function):
        def call(*arguments, **named):
            reach()
            return function(*arguments, **named)
        return call

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))


def ended(child, expected):
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in expected:
        with open("prune.log", encoding="utf-8") as log:
            sys.exit(f"prune ends with {status}: {log.read()}")
    return status


def prune(plan):
    ended(begin_prune(plan), (0,))


def put_back():
    for name in "images", "states":
        shutil.rmtree(name)
        shutil.copytree(f"before/{name}", name)


def all_steps(plan, references, kept):
    step = 0
    while ended(begin_prune(plan, step), (0, KILLED)) == KILLED:
        check(plan, references, kept, f"killed at step {step}")
        prune(plan)
        finished(plan, references, kept, f"after being killed at step {step}")
        put_back()
        step += 1
    print(f"{step} steps")


def finished(plan, references, kept, when):
    check(plan, references, kept, when)
    times = [point.time for point in points(plan)]
    files = [name for _, _, names in os.walk("images") for name in names]
    if times != kept or any(name.endswith((".merge", ".partial")) for name in files):
        sys.exit(f"{when}: there are the points {times}, and the files {files}")


def at_random(plan, references, kept, wanted_kills, generator):
    """qemu-img in PATH is slowed down, so that many of the kills find it at work."""
    kills = 0
    while kills < wanted_kills:
        child = begin_prune(plan)
        time.sleep(generator.uniform(0, 0.6))
        if kill_all(child):
            kills += 1
            ended(child, (0, -signal.SIGKILL))
            check(plan, references, kept, f"kill {kills}")
        else:
            ended(child, (0,))
            finished(plan, references, kept, f"after kill {kills}")
            put_back()
    prune(plan)
    finished(plan, references, kept, f"after kill {kills}")
    print(f"{kills} kills")


def kill_all(top):
    """The process, and those that it has started. Returns False if it has ended already."""
    if os.waitid(os.P_PID, top, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
        return False
    with open(f"/proc/{top}/task/{top}/children", encoding="ascii") as file:
        children = file.read().split()
    for process in (top, *map(int, children)):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return True


if __name__ == "__main__":
    given_plan, given_references, mode, *rest = sys.argv[1:]
    os.mkdir("before")
    for directory in "images", "states":
        shutil.copytree(directory, f"before/{directory}")
    prune(given_plan)
    wanted = [one.time for one in points(given_plan)]
    put_back()
    if mode == "steps":
        all_steps(given_plan, given_references, wanted)
    else:
        at_random(given_plan, given_references, wanted, int(rest[0]), random.Random(int(rest[1])))
