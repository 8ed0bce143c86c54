# SPDX-License-Identifier: BSD-3-Clause
"""A password that is asked for: here, as the servers have no terminal."""
import contextlib
import getpass
import os
import sys
from collections.abc import Iterator, Sequence

from ..contract import ASK_PASSWORD, password_from


def ask_password(parameters: Sequence[str]) -> str | None:
    """None if no parameter asks for one."""
    if ASK_PASSWORD not in parameters:
        return None
    return getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")


@contextlib.contextmanager
def passed_by_descriptor(command: Sequence[str], password: str | None) -> Iterator[list[str]]:
    """The command with a file descriptor that the password is read from, in place of password=-.

    The descriptor is open within the block, in which the command is to be started.
    """
    if password is None:
        yield list(command)
        return
    reading, writing = os.pipe()
    try:
        os.write(writing, password.encode())
        os.close(writing)
        yield [password_from(reading) if word == ASK_PASSWORD else word for word in command]
    finally:
        os.close(reading)
