# SPDX-License-Identifier: BSD-3-Clause
"""The verbs of the command: nbdkit-replicate VERB ...

Each is a module of this directory. The first line of its docstring is its help; it defines

    add_arguments(parser: argparse.ArgumentParser) -> None
    execute(arguments: argparse.Namespace) -> int        the exit status; raises Failure, WrongUse or OSError

A verb is imported only when it is used, so what one of them needs is not needed by the others.
"""

VERBS: tuple[str, ...] = (
    "run",
    "estimate",
    "status",
    "list",
    "restore",
    "use",
    "verify",
    "prune",
    "cutover",
)
