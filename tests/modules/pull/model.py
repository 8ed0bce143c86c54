#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""model.py ROUNDS [SEED]: clients of a pull server against a plain model, while things go wrong.

In each round three clients read, write, zero, trim and flush at the same time, each in blocks of its own that lie
between those of the others. Meanwhile the source is slow, answers with errors, is killed or ended, and comes back; the
server is killed with SIGKILL, ended with SIGTERM, or loses power (of what its files' syncs did not cover, a random
part is there), and is started again with the same command. What was flushed must be there, what is read must be what
was written or what the source has; in the end nothing is owed, the source is not needed any more, and the disk is the
source with the writes over it. Runs in the current directory. BUILD is the build directory, SOURCE the tree;
EVENTS=NAME,... chooses what happens (Round.events).
"""

import os
import random
import subprocess
import sys

import nbd

sys.path.insert(0, os.path.join(os.environ["SOURCE"], "tests/system/durability"))
from model_parts.round import Round  # noqa: E402
from model_parts.violation import Violation  # noqa: E402


def main() -> int:
    rounds = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    for number in range(rounds):
        now = Round(number, seed)
        try:
            now.run()
        except (Violation, nbd.Error, subprocess.TimeoutExpired) as e:
            print(f"round {number} of seed {seed}, {' '.join(now.happened)}: {e}")
            return 1
    print(f"{rounds} rounds of seed {seed}: all is right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
