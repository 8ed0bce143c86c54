# SPDX-License-Identifier: BSD-3-Clause
"""night.py BUILD PLAN TIME: one run of each machine of a plan, whose images get TIME as their {time}."""
import asyncio
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate.composition.checks import check_replication  # noqa: E402
from nbdkit_replicate.many.replications import replication_of  # noqa: E402
from nbdkit_replicate.messages import Failure, say  # noqa: E402
from nbdkit_replicate.plan.reading import read_plan  # noqa: E402
from nbdkit_replicate.run.machine import MachineRun  # noqa: E402


def run(plan, machine, time):
    replication = replication_of(plan, machine, time)
    check_replication(replication)
    return asyncio.run(MachineRun(replication, None, None).run()).value


if __name__ == "__main__":
    given_build, given_plan, given_time = sys.argv[1:]
    try:
        given = read_plan(given_plan, given_build)
        sys.exit(max(run(given, machine, given_time) for machine in given.machines))
    except Failure as e:
        say(str(e))
        sys.exit(1)
