# SPDX-License-Identifier: BSD-3-Clause
"""The command."""
import asyncio
import sys

from . import dispatch
from .arguments import parse
from .messages import Failure, Level, WrongUse, say, warn
from .composition.checks import check_replication, warnings
from .composition.shell import ShellScript
from .programs.password import ask_password
from .report.records import records_directory
from .report.recorder import Recorder
from .report.run import RunReport
from .report.view import view_of
from .run.machine import MachineRun
from .run.result import Result

WRONG_USE = 2  # argparse's exit status, too


def main() -> int:
    """Returns the exit status."""
    words = sys.argv[1:]
    try:
        return dispatch.execute(words) if dispatch.is_verb(words) else _replicate(words).value
    except KeyboardInterrupt:  # while it asks for a password
        return Result.INCOMPLETE.value
    except (Failure, OSError, ValueError) as e:
        say(str(e), Level.ERROR)
        return WRONG_USE if isinstance(e, WrongUse) else Result.of_failure(e).value


def _replicate(words: list[str]) -> Result:
    arguments = parse(words)
    replication = arguments.replication
    check_replication(replication)
    for warning in warnings(replication):
        warn(warning)
    if arguments.dry_run:
        print(*ShellScript(replication).lines(), sep="\n")
        return Result.DONE
    source_password = ask_password(replication.source.parameters)
    target_password = ask_password(replication.target.parameters)
    with view_of(arguments.style) as view:
        report = RunReport(replication.vm, [view, Recorder(records_directory(replication.state))])
        return asyncio.run(MachineRun(replication, source_password, target_password, report).run())
