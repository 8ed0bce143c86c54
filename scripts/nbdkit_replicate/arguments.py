# SPDX-License-Identifier: BSD-3-Clause
"""The command line."""
import argparse
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from . import PROGRAM, VERSION
from .contract import CLIENTS
from .dispatch import list_of_verbs
from .files import resolved
from .messages import WrongUse
from .composition.replication import Destination, Module, Replication
from .report.view import Style, add_arguments, style_of
from .states import names_directory


@dataclass(frozen=True)
class Arguments:
    replication: Replication
    dry_run: bool
    style: Style


def parse(words: Sequence[str]) -> Arguments:
    """Exits with status 2 if the words are no valid command line. Throws WrongUse if an @FILE cannot be read."""
    given = _parser().parse_args(list(expand(words)))
    replication = replace(
        replication_at(given),
        at_once=given.at_once,
        threads=given.threads,
        client=given.client,
        progress=given.progress is not None,
        verbose=given.verbose,
        build=given.build)
    return Arguments(replication, given.dry_run, style_of(given))


def expand(words: Sequence[str]) -> Iterator[str]:
    """Replaces @FILE by the words in the file, which are separated and quoted as in a shell."""
    for word in words:
        if word.startswith("@"):
            try:
                with open(word[1:], encoding="utf-8") as file:
                    yield from shlex.split(file.read().replace("\\\n", " "), comments=True)
            except OSError as e:
                raise WrongUse(str(e)) from e
            except ValueError as e:
                raise WrongUse(f"{word[1:]}: {e}") from e
        else:
            yield word


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def add_places(parser: argparse.ArgumentParser, required: bool) -> None:
    """Where from and where to."""
    parser.add_argument("--from", dest="source", nargs="+", required=required, metavar=("PLUGIN", "PARAMETER"),
                        help="nbdkit plugin that reads the source, such as vsphere")
    parser.add_argument("--to", dest="target", nargs="+", required=required, metavar=("PLUGIN", "PARAMETER"),
                        help="nbdkit plugin that writes the copy, such as qcow2")
    parser.add_argument("--also", nargs="+", action="append", default=[], metavar=("URI", "PARAMETER"),
                        help="further destination, an NBD server; can be repeated")
    parser.add_argument("--state", required=required, metavar="FILE|DIRECTORY/",
                        help="file that says what the copy holds and what is still owed, created by the first run; "
                             "with a directory, all disks of the source are copied, each with a state file in it")


def replication_at(given: argparse.Namespace) -> Replication:
    """By what add_places() has added, with defaults for the rest. --from need not be given."""
    several = names_directory(given.state)
    state = resolved(given.state)
    source = given.source or [""]
    return Replication(
        source=Module(source[0], tuple(source[1:])),
        target=Module(given.target[0], tuple(given.target[1:])),
        also=tuple(Destination(uri, tuple(parameters)) for uri, *parameters in given.also),
        state=os.path.join(state, "") if several else state,
        several=several)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{PROGRAM} --state FILE|DIRECTORY/ --from PLUGIN PARAMETER... --to PLUGIN PARAMETER... [OPTION...]\n"
              f"       {PROGRAM} VERB ...",
        description="Copy disks, or what has changed on them, to images and to any number of NBD servers.\n\n"
                    f"verbs ({PROGRAM} VERB --help):\n" + list_of_verbs(),
        epilog="PARAMETER is a parameter of the plugin or of a filter: coalesce-... and delta-... with\n"
               "--from, apply-... and fanout-... with --to, fanout-... with --also. @FILE stands for the\n"
               "arguments in FILE. See nbdkit-replicate(1).")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    add_places(parser, required=True)
    parser.add_argument("--at-once", type=_positive, default=4, metavar="N",
                        help="number of disks that are copied at the same time (default: 4)")
    parser.add_argument("--threads", type=_positive, metavar="N",
                        help="number of requests of a connection that the destination handles in parallel")
    parser.add_argument("--client", choices=CLIENTS, default=CLIENTS[0],
                        help="what copies: nbdcopy or qemu-img, or pull: the destination fetches for itself (default: nbdcopy)")
    add_arguments(parser)
    parser.add_argument("--build", metavar="DIRECTORY", help="use the modules in this build tree")
    parser.add_argument("-n", "--dry-run", action="store_true", help="print the command lines, start nothing")
    parser.add_argument("-v", "--verbose", action="store_true", help="enable verbose messages of both servers")
    return parser
