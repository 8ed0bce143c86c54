# SPDX-License-Identifier: BSD-3-Clause
"""Messages on standard error, and the exception that carries one."""
import sys

from . import PROGRAM

RUN_AGAIN = "run the same command again to continue"


class Failure(Exception):
    """What is being done has failed. The text says why, and what to do if that is known."""


class WrongUse(Failure):
    """The command line cannot be carried out as it is, however often it is run."""


def say(text: str) -> None:
    print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)


def mib(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"
