# SPDX-License-Identifier: BSD-3-Clause
"""The command."""
import asyncio
import sys

from .arguments import parse
from .messages import Failure, say
from .plan.checks import check_replication
from .plan.shell import ShellScript
from .programs.password import ask_password
from .run.machine import MachineRun

# The exit statuses, together with argparse's 2 for a wrong command line.
DONE = 0
INCOMPLETE = 1


def main() -> int:
    """Returns the exit status."""
    try:
        return DONE if _replicate(sys.argv[1:]) else INCOMPLETE
    except KeyboardInterrupt:  # while it asks for a password
        return INCOMPLETE
    except (Failure, OSError, ValueError) as e:
        say(str(e))
        return INCOMPLETE


def _replicate(words: list[str]) -> bool:
    """Returns whether everything has been copied, or printed."""
    arguments = parse(words)
    replication = arguments.replication
    check_replication(replication)
    if arguments.dry_run:
        print(*ShellScript(replication).lines(), sep="\n")
        return True
    source_password = ask_password(replication.source.parameters)
    target_password = ask_password(replication.target.parameters)
    return asyncio.run(MachineRun(replication, source_password, target_password).run())
