# SPDX-License-Identifier: BSD-3-Clause
import argparse
import os
import shlex
import sys

from . import ME, Failure, say
from .plan.checks import check_copy, check_names, check_no_secret
from .plan.commands import Job
from .plan.shell import Lines
from .run.disk import TROUBLE
from .run.machine import Run
from .programs.server import ask_password


def positive(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def expanded(words):
    """What @FILE stands for: the words in it, as a shell would take them."""
    for word in words:
        if word.startswith("@"):
            with open(word[1:], encoding="utf-8") as file:
                try:
                    yield from shlex.split(file.read().replace("\\\n", " "), comments=True)
                except ValueError as e:
                    raise Failure(f"{word[1:]}: {e}") from e
        else:
            yield word


def arguments():
    parser = argparse.ArgumentParser(
        prog=ME, allow_abbrev=False,
        description="Copy disks, or what has changed on them, to images and to any number of NBD servers.",
        epilog="PARAMETER: those of the plugin, and coalesce-... and delta-... (--from), apply-... and "
               "fanout-... (--to and --also). @FILE stands for the arguments in FILE. See nbdkit-replicate(1).")
    parser.add_argument("--from", dest="source", nargs="+", required=True, metavar=("PLUGIN", "PARAMETER"),
                        help="nbdkit's plugin for the source, such as vsphere")
    parser.add_argument("--to", dest="target", nargs="+", required=True, metavar=("PLUGIN", "PARAMETER"),
                        help="nbdkit's plugin for the destination, such as qcow2")
    parser.add_argument("--also", nargs="+", action="append", default=[], metavar=("URI", "PARAMETER"),
                        help="a further destination, an NBD server; may be repeated")
    parser.add_argument("--state", required=True, metavar="FILE|DIRECTORY/",
                        help="says what the destination holds and is owed; made by the first run; a directory: "
                             "all disks of the source, each with a state in it")
    parser.add_argument("--at-once", type=positive, default=4, metavar="N",
                        help="with a directory: disks that are copied at the same time (default: 4)")
    parser.add_argument("--threads", type=positive, metavar="N",
                        help="requests of a connection that the destination works on at once")
    parser.add_argument("--progress", action="store_true", help="show how far nbdcopy is")
    parser.add_argument("--build", metavar="DIRECTORY", help="take the modules from this build tree")
    parser.add_argument("-n", "--dry-run", action="store_true", help="print the command lines, and do nothing")
    parser.add_argument("-v", "--verbose", action="store_true", help="have both servers tell what they do")
    return parser.parse_args(list(expanded(sys.argv[1:])))


def replicate(given):
    """Returns whether everything has been copied (or printed)."""
    job = Job(given)
    check_no_secret(given.source + given.target)
    check_names(job)
    for disk in job.disks_with_state():
        check_copy(job.copy(disk))
    if given.dry_run:
        Lines(job).print()
        return True
    if job.several:
        os.makedirs(job.state, exist_ok=True)
    return Run(job, ask_password(given.source), ask_password(given.target)).run()


def main():
    try:
        return 0 if replicate(arguments()) else 1
    except KeyboardInterrupt:  # when it asks for a password
        return 1
    except Failure as e:
        say(str(e))
    except TROUBLE as e:
        say(f"{e}")
    return 1
