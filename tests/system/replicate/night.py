# SPDX-License-Identifier: BSD-3-Clause
"""night.py BUILD PLAN TIME: one run of each machine of a plan, whose images get TIME as their {time}."""
import asyncio
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate.composition.checks import check_replication  # noqa: E402
from nbdkit_replicate.composition.replication import Replication  # noqa: E402
from nbdkit_replicate.messages import Failure, say  # noqa: E402
from nbdkit_replicate.plan.reading import read_plan  # noqa: E402
from nbdkit_replicate.points.next_image import PointTargets  # noqa: E402
from nbdkit_replicate.run.machine import MachineRun  # noqa: E402
from nbdkit_replicate.states import state_path  # noqa: E402


def run(machine, time, build):
    several = machine.disk_name is None
    state = machine.states if several else state_path(machine.states, machine.disk_name)
    replication = Replication(machine.source, machine.target, machine.also, state, several, build=build,
                              targets=PointTargets(machine, time))
    check_replication(replication)
    return asyncio.run(MachineRun(replication, None, None).run()).value


if __name__ == "__main__":
    given_build, given_plan, given_time = sys.argv[1:]
    try:
        sys.exit(max(run(one, given_time, given_build) for one in read_plan(given_plan).machines))
    except Failure as e:
        say(str(e))
        sys.exit(1)
