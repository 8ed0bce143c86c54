# SPDX-License-Identifier: BSD-3-Clause
"""Serve disks at once, whole or not, and fetch the rest meanwhile.

What a run has left incomplete, or not begun, is served by NBD at once: what is not here yet is fetched from the source when a
client reads it, and otherwise in the background. The URI of each disk is printed. The server goes on until it is ended by a
signal, also when everything is here; the same command goes on with it."""
import argparse
import asyncio
import time
from dataclasses import replace

from ..arguments import add_places, replication_at
from ..composition.checks import check_replication, warnings
from ..composition.commands import Access
from ..composition.replication import Replication
from ..contract import DISK
from ..many.locks import machine_held
from ..many.replications import replication_of
from ..messages import WrongUse, warn
from ..plan.plan import Machine
from ..plan.reading import read_plan
from ..parameters import has
from ..points.machines import machines_of_plan
from ..points.naming import Naming, free_time
from ..programs.password import ask_password
from ..states import is_whole
from ..use.machine import How, MachineUse
from ..use.targets import UsedTargets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", nargs="?", metavar="PLAN", help="a plan, instead of the options of a run")
    parser.add_argument("machine", nargs="?", metavar="VM", help="a machine of it")
    add_places(parser, required=False)
    parser.add_argument("--disk", metavar="DISK", help="only this disk (default: all)")
    writing = parser.add_mutually_exclusive_group()
    writing.add_argument("--write", action="store_true",
                         help="clients may write; then the disk is no replica any more (default: they may only read)")
    writing.add_argument("--scratch", action="store_true",
                         help="clients may write; what they write is gone at the end, and the replica stays as it is")
    parser.add_argument("--socket", metavar="FILE", help="the socket to listen on, with {disk} if there are several disks")
    parser.add_argument("--threads", type=int, metavar="N",
                        help="number of requests of a connection that are handled in parallel")
    parser.add_argument("--build", metavar="DIRECTORY", help="use the modules in this build tree")
    parser.add_argument("-v", "--verbose", action="store_true", help="enable verbose messages of the servers")


def execute(arguments: argparse.Namespace) -> int:
    access = Access.WRITE if arguments.write else Access.SCRATCH if arguments.scratch else Access.READ
    how = How(access, arguments.disk, arguments.socket)
    if (arguments.plan is None) == (arguments.state is None):
        raise WrongUse("give a plan and a machine of it, or --state and --to as in a run")
    if arguments.plan is not None:
        return _use_of_plan(arguments, how)
    if arguments.target is None:
        raise WrongUse("--to is missing: what the run writes to")
    return _use(replication_at(arguments), arguments, how)


def _use_of_plan(arguments: argparse.Namespace, how: How) -> int:
    if arguments.machine is None or arguments.source or arguments.target or arguments.also:
        raise WrongUse("give a plan and a machine of it, without --from, --to and --also")
    plan = read_plan(arguments.plan, arguments.build)
    machine: Machine = machines_of_plan(arguments.plan, [arguments.machine])[0]
    with machine_held(machine):
        moment = free_time(time.time(), Naming(machine.images).times())
        replication = replace(replication_of(plan, machine, moment), targets=UsedTargets(machine, moment))
        return _use(replication, arguments, how)


def _use(replication: Replication, arguments: argparse.Namespace, how: How) -> int:
    replication = replace(replication, client="pull", threads=arguments.threads or replication.threads, build=arguments.build,
                          verbose=arguments.verbose)
    if replication.several and how.socket and DISK not in how.socket and how.disk is None:
        raise WrongUse(f"--socket {how.socket}: several disks would listen there: put {DISK} into it, or choose one by --disk")
    if how.disk is not None and not replication.several:
        raise WrongUse("--disk: --state is that of a single disk")
    if _is_unsafe(replication, how):
        raise WrongUse("--write: with delta-digests= the rest could not be fetched any more after an interruption: use "
                       "--scratch, or wait until everything is here")
    check_replication(replication)
    for warning in warnings(replication):
        warn(warning)
    passwords = ask_password(replication.source.parameters), ask_password(replication.target.parameters)
    return 0 if asyncio.run(MachineUse(replication, how, passwords, _print).run()) else 1


def _is_unsafe(replication: Replication, how: How) -> bool:
    """delta needs the state for the digests, and refuses it when clients have written to the destination."""
    if how.access != Access.WRITE or not has(replication.source.parameters, "delta-digests"):
        return False
    names = replication.known_disks()
    return not (names and all(is_whole(replication.disk(name).state) for name in names))


def _print(disk: str | None, uri: str) -> None:
    print(*([disk] if disk is not None else []), uri, flush=True)
