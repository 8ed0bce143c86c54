#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""soak.py ROUNDS SEED, run in an empty directory.

In each round the guest of a simulated machine writes, a run of nbdkit-replicate begins, and in its middle something
goes wrong (soak_parts/catalogue.py). Then the same command is run again, with nothing wrong. The guest writes during
all runs. Checked is:
- exit status 0 is only for an image and a DR disk that are the disk at the instant of the run's snapshot; status 3 only
  for such an image;
- the same command is complete after at most 2 runs, or, if a destination is not the one that was meant, as soon as
  somebody has put that right;
- no process, snapshot or file is left behind.

What a round does depends on the seed, its number, the faults that may be drawn and what the rounds before have left;
how far its run is at a moment, on the machine. SOAK_FAULTS=NAME,... draws only these faults.
"""

import collections
import os
import random
import signal
import sys

sys.dont_write_bytecode = True  # keeps the source tree clean
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "tests/vcenter"))

# pylint: disable=wrong-import-position
from soak_parts.catalogue import Choice  # noqa: E402
from soak_parts.site import Site  # noqa: E402
from soak_parts.violation import Violation  # noqa: E402


class Round:
    def __init__(self, site, rng, name, fault):
        self.site, self.rng, self.name, self.fault = site, rng, name, fault
        self.moment = None
        site.begin_round(rng)

    def play(self):
        """Returns whether the fault has struck before the run was over."""
        site, fault = self.site, self.fault
        if self.rng.random() < 0.15:
            site.start_afresh()
        site.guest.write(self.rng)
        fault.prepare(site, self.rng)
        self.moment = fault.moment(self.rng, site.expected())
        _, struck = site.run(lambda run: fault.strike(site, run, self.rng), self.moment, fault.leaves_dirty)
        fault.repair(site)
        site.check_nothing_left(snapshot=struck and fault.leaves_snapshot, directory=struck and fault.leaves_directory)
        if self.rng.random() < 0.5:
            site.guest.write(self.rng)
        if not site.try_to_complete():
            fault.refused(site)
            site.complete()
        fault.end(site)
        site.check_nothing_left()
        site.check_files()
        return struck

    def __str__(self):
        when = self.moment.text if self.moment else "before the run"
        return f"{self.name}, {when}; exit statuses {self.site.outcomes}"


def soak(rounds, seed, choice):
    played, struck = collections.Counter(), collections.Counter()
    with Site(random.Random(seed)) as site:
        for number in range(rounds):
            rng = random.Random(f"{seed} {number}")
            this = Round(site, rng, *choice.draw(rng))
            try:
                struck[this.name] += this.play()
            except Violation as violation:
                sys.exit(f"VIOLATION: seed {seed}, round {number}: {this}: {violation}")
            except Exception:
                print(f"seed {seed}, round {number}: {this}", flush=True)
                raise
            played[this.name] += 1
            print(f"round {number}: {this}", flush=True)
    for name in played:
        print(f"{name}: {played[name]} rounds, struck in {struck[name]}")
    print(f"{rounds} rounds, {site.runs} runs, {sum(struck.values())} faults: what was called complete was complete")


def main():
    rounds, seed = int(sys.argv[1]), int(sys.argv[2])
    print(f"seed {seed}")
    choice = Choice(os.environ.get("SOAK_FAULTS", ""))
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        signal.signal(number, lambda *_: sys.exit("interrupted"))
    soak(rounds, seed, choice)


main()
