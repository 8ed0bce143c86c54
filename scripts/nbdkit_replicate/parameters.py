# SPDX-License-Identifier: BSD-3-Clause
"""Lists of nbdkit's KEY=VALUE parameters."""
from collections.abc import Iterable


def value(parameters: Iterable[str], key: str) -> str | None:
    """The value of the first KEY=VALUE, or None if there is none."""
    return next((p.partition("=")[2] for p in parameters if p.startswith(key + "=")), None)


def has(parameters: Iterable[str], key: str) -> bool:
    return value(parameters, key) is not None


def add_default(parameters: list[str], key: str, default: str) -> None:
    """Appends KEY=DEFAULT unless the list has a value for that key."""
    if not has(parameters, key):
        parameters.append(f"{key}={default}")
