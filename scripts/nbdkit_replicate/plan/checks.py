# SPDX-License-Identifier: BSD-3-Clause
"""What would go wrong without a word, seen before anything is begun; and whether all is well at the end."""
import json
import os
import re

from .. import Failure, say
from .commands import DISK
from ..programs.source import mib
from ..parameters import destination_name, has, image_file

# What is one disk's own.
OF_ONE_DISK = ("file", "apply-stats", "fanout-state", "fanout-stats")


def check_no_secret(parameters):
    for parameter in parameters:
        if parameter.startswith("password=") and not re.match("password=[-+]", parameter):
            raise Failure("password: every user of this computer could read it in the list of processes: "
                          "use password=+FILE, or password=- to be asked")


def check_names(job):
    """Several disks need a name for each in what is one disk's own; one disk has none."""
    _, *parameters = job.given.target
    words = [*parameters, *(word for words in job.given.also for word in words)]
    if not job.several:
        if any(DISK in word for word in words):
            raise Failure(f"{DISK}: the name of a disk where there may be several; --state must be a directory then: "
                          f"{job.state}.d/")
        return
    own = [p for p in words if p.partition("=")[0] in OF_ONE_DISK and "=" in p]
    own += [uri for uri, *_ in job.given.also]
    for word in own:
        if DISK not in word:
            raise Failure(f"{word}: several disks would share it: put {DISK}, for the name of each, somewhere in it")
    if not any(DISK in parameter for parameter in parameters):
        raise Failure(f"--to: several disks would be written to one destination: put {DISK} where the name of each "
                      f"belongs, as in file=web1-{DISK}.qcow2")


def check_copy(copy):
    check_image(copy)
    check_left_out(copy)


def check_image(copy):
    """An increment is nothing without what it is an increment of."""
    if not copy.creates_image() or has(copy.parameters, "backing"):
        return
    if os.path.exists(copy.state):
        raise Failure(f"{copy.state} says that the destination has been copied to, but {image_file(copy.parameters)} "
                      f"would be a new, empty image: add backing=FILE with the image of the last run, or remove "
                      f"{copy.state} for a full copy")


def check_left_out(copy):
    """Who was a destination before and is none now would miss what this run brings, and nobody would know."""
    directory = copy.state + ".fanout"
    if copy.fanout_directory() != directory or not os.path.isdir(directory):
        return
    named = {destination_name(uri, options) for uri, *options in copy.also}
    for file in sorted(os.listdir(directory)):
        path = os.path.join(directory, file)
        if not file.endswith(".json"):
            continue
        with open(path, encoding="utf-8") as f:
            name = json.load(f)["destination"]
        if name not in named:
            raise Failure(f"{name} was a destination of an earlier run, and would miss what this one brings: name it "
                          "with --also (and fanout-on-error=detach if it is away), or give it up by removing "
                          f"{path}; if it is added again later, the whole disk is copied to it")


def check_state(path, facts):
    """At the end: says that it is complete, or what is missing."""
    try:
        with open(path, encoding="utf-8") as f:
            state = json.load(f)
        owed = sum(length for _, length in state["owed"])
        checkpoint = state["checkpoint"]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise Failure(f"cannot read {path}: {e}") from e
    # Where nothing has changed nothing is sent, and the older checkpoint is as good.
    if owed or (facts.delta and checkpoint != facts.checkpoint):
        raise Failure(f"{path}: {mib(owed)} are still owed; run the same again to go on")
    say(f"{path}: complete" + (f", as of {checkpoint}" if checkpoint else ""))


def late_destinations(stats):
    """What fanout's counters say of those of --also: which is owed something, and how much."""
    with open(stats, encoding="utf-8") as f:
        owed = re.findall(r'^nbdkit_fanout_owed_bytes\{destination="(.*)"\} (\d+)$', f.read(), re.MULTILINE)
    return [f"{name} is owed {mib(int(count))}" for name, count in owed if int(count) > 0]
