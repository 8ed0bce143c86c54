# SPDX-License-Identifier: BSD-3-Clause
"""Which verb the first word of the command line means, and its arguments."""
import argparse
import ast
import importlib
import os
from collections.abc import Sequence

from . import PROGRAM, verbs
from .messages import WrongUse


def is_verb(words: Sequence[str]) -> bool:
    """Without a verb the words are options. Throws WrongUse if the first word is neither."""
    if not words or words[0].startswith(("-", "@")):
        return False
    if words[0] in verbs.VERBS:
        return True
    raise WrongUse(f"there is no verb {words[0]}; these there are: {', '.join(verbs.VERBS)}")


def execute(words: Sequence[str]) -> int:
    """words: the verb and its arguments. Exits with status 2 if they are no valid command line."""
    name, *arguments = words
    verb = importlib.import_module(f"{verbs.__name__}.{name}")
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} {name}", allow_abbrev=False, description=verb.__doc__)
    verb.add_arguments(parser)
    status = verb.execute(parser.parse_intermixed_args(arguments))
    assert isinstance(status, int)
    return status


def list_of_verbs() -> str:
    """For the help: a line for each, read from the files so that nothing needs to be imported."""
    return "\n".join(f"  {name:<10}{_summary(name)}" for name in verbs.VERBS)


def _summary(name: str) -> str:
    path = os.path.join(os.path.dirname(verbs.__file__), name + ".py")
    with open(path, encoding="utf-8") as file:
        text = ast.get_docstring(ast.parse(file.read())) or ""
    return text.partition("\n")[0]
