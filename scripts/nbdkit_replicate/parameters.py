# SPDX-License-Identifier: BSD-3-Clause
"""Lists of nbdkit's KEY=VALUE parameters."""
import re
from collections.abc import Iterable


def value(parameters: Iterable[str], key: str) -> str | None:
    """The value of the last KEY=VALUE, which is the one that the modules take, or None if there is none."""
    result = None
    for parameter in parameters:
        if parameter.startswith(key + "="):
            result = parameter.partition("=")[2]
    return result


_FALSE = ("0", "false", "f", "no", "n", "off")  # nbdkit_parse_bool


def is_false(text: str) -> bool:
    return text.lower() in _FALSE


def bare(parameter: str) -> bool:
    """Whether nbdkit takes it for the value of the plugin's magic key: is_config_key() in nbdkit's server."""
    return not re.match(r"[A-Za-z][A-Za-z0-9_.-]*=", parameter)


def has(parameters: Iterable[str], key: str) -> bool:
    return value(parameters, key) is not None


def add_default(parameters: list[str], key: str, default: str) -> None:
    """Appends KEY=DEFAULT unless the list has a value for that key."""
    if not has(parameters, key):
        parameters.append(f"{key}={default}")
