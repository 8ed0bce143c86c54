# SPDX-License-Identifier: BSD-3-Clause
"""What the command knows about the modules: their files, names, parameters and messages to programs.

All such knowledge is here and nowhere else in this package. The comment at each part names the manual page, or
the C++ function, that it must agree with. A change there is a change here.
"""
import json
import os
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .messages import Failure
from .parameters import value

# ---- State files: nbdkit-replicate-delta(7); common/replication/state_file.hpp ----


@dataclass(frozen=True)
class State:
    """What a state file says: the target holds the source as of `checkpoint`, except for `owed` bytes."""

    checkpoint: str
    owed: int


def read_state(path: str) -> State:
    try:
        state = _load_json(path)
        return State(state["checkpoint"], sum(length for _, length in state["owed"]))
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise Failure(f"cannot read {path}: {e}") from e


def _load_json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


# A directory of states, DIRECTORY/DISK.state: common/replication/state_directory.hpp.

STATE_SUFFIX = ".state"


def names_directory(path: str) -> bool:
    return path.endswith("/") or os.path.isdir(path)


def state_path(directory: str, disk: str) -> str:
    return os.path.join(directory, disk + STATE_SUFFIX)


def disks_with_state(directory: str) -> list[str]:
    files = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    return [file.removesuffix(STATE_SUFFIX) for file in files if file.endswith(STATE_SUFFIX)]


# ---- Sources: nbdkit-replicate-delta(7); common/replication/source_description.hpp ----


@dataclass(frozen=True)
class SourceDescription:
    """What the description of an export says about its disk. A source need not say anything."""

    is_delta: bool = False  # only what has changed after `since` is in the map, and what is owed
    since: str = ""
    checkpoint: str = ""  # what the target holds once everything has been copied

    @classmethod
    def parse(cls, text: str) -> "SourceDescription":
        try:
            fields = json.loads(text)
            return cls(fields.get("mode") == "delta", fields.get("since", ""), fields.get("checkpoint", ""))
        except (ValueError, AttributeError):
            return cls()


def delta_bytes(totals: str) -> int:
    """How much is to be copied, from the output of nbdinfo --map --totals --json."""
    hole_and_zero = 3  # delta shows what need not be copied as such an extent
    return sum(extent["size"] for extent in json.loads(totals) if extent["type"] != hole_and_zero)


def is_disk(export: str) -> bool:
    """False for the exports with the honest extents, which delta adds: honest_name() in filters/delta."""
    return export != "honest" and not export.startswith("honest/")


def source_parameters(plugin: str, parameters: Sequence[str], state: str) -> list[str]:
    """With what tells vsphere which changes to show, and delta what is owed. state: a file or a directory."""
    since = [f"since=@{state}"] if plugin == "vsphere" and value(parameters, "since") is None else []
    return [*parameters, *since, f"delta-owed={state}"]


# ---- Images: nbdkit-qcow2-plugin(1), parameters file=, create=, seal= and size= ----


def image_file(parameters: Sequence[str]) -> str | None:
    """file=FILE, or the first parameter if it has no key."""
    bare = parameters[0] if parameters and "=" not in parameters[0] else None
    return value(parameters, "file") or bare


def creates_image(plugin: str, parameters: Sequence[str]) -> bool:
    """Whether the plugin creates an image, perhaps in place of one that exists."""
    file = image_file(parameters)
    if plugin != "qcow2" or file is None:
        return False
    exists = os.path.exists(file) or os.path.exists(file + ".partial")  # partial_name() in plugins/qcow2
    return not exists or value(parameters, "create") == "always"


def continues_image(parameters: Sequence[str]) -> bool:
    """Whether the plugin, with seal=@STATE, goes on with what an interrupted run has begun, also with create=always."""
    file = image_file(parameters)
    return file is not None and _sealed(parameters) and os.path.exists(file + ".partial")


def is_closed_cleanly(file: str) -> bool:
    """False if the QCOW2 image FILE (FILE.partial, if that is there) has the dirty bit: the plugin could not write its
    refcounts when it closed it, as on a full file system."""
    partial = file + ".partial"
    with open(partial if os.path.exists(partial) else file, "rb") as image:
        header = image.read(80)
    incompatible_features = int.from_bytes(header[72:80], "big")  # QCOW2 specification, "Header"
    return incompatible_features & 1 == 0


def image_size(size: int) -> int:
    """The size of a new image for a disk of so many bytes: whole sectors."""
    return (size + 511) // 512 * 512


def image_parameters(plugin: str, parameters: Sequence[str], state: str) -> list[str]:
    """With seal=on as seal=@STATE: the image gets its name only when the state owes nothing, whoever flushed."""
    return [f"seal=@{state}" if plugin == "qcow2" and _sealed([p]) else p for p in parameters]


def _sealed(parameters: Sequence[str]) -> bool:
    return any(p.lower() in ("seal=on", "seal=yes", "seal=true", "seal=1") for p in parameters)


BACKING = ("backing=", "backing-format=")

# ---- Targets: nbdkit-apply-filter(1), nbdkit-fanout-filter(1) ----


def apply_parameters(source_uri: str, state: str) -> list[str]:
    return [f"apply-from={source_uri}", f"apply-state={state}"]


def destination_name(uri: str, parameters: Sequence[str]) -> str:
    """How messages and files call a destination: fanout-name=, or the URI without what may be secret.

    Like name_of_uri() in common/nbd, except that the socket's path is decoded and nbd+unix:/// becomes nbd+unix:/. The
    filter is always told this name (fanout-name=), so it never uses the other one.
    """
    return value(parameters, "fanout-name") or plain_uri(uri)


def plain_uri(uri: str) -> str:
    """Without what may be secret."""
    parts = urllib.parse.urlsplit(uri)
    socket = urllib.parse.parse_qs(parts.query).get("socket")
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2], query=f"socket={socket[0]}" if socket else "")
    return plain.geturl()


def known_destinations(fanout_state: str) -> Iterator[tuple[str, str]]:
    """The files in the directory of fanout-state=, and the destination that each belongs to."""
    for file in sorted(os.listdir(fanout_state)):
        path = os.path.join(fanout_state, file)
        if file.endswith(".json"):
            yield path, _destination_of(path)


def _destination_of(path: str) -> str:
    try:
        name = _load_json(path)["destination"]
    except OSError as e:
        raise Failure(f"cannot read {path}: {e.strerror}") from e
    except (ValueError, KeyError, TypeError) as e:
        why = str(e) if isinstance(e, ValueError) else "it names no destination"
        raise Failure(f"{path} is not a usable state file ({why}): remove it, and the whole disk is copied to its "
                      "destination") from e
    return str(name)


def owing_destinations(fanout_stats: str) -> Iterator[tuple[str, int]]:
    """From the file of fanout-stats=: the destinations that are owed something, and how many bytes."""
    with open(fanout_stats, encoding="utf-8") as file:
        text = file.read()
    for name, count in re.findall(r'^nbdkit_fanout_owed_bytes\{destination="(.*)"\} (\d+)$', text, re.MULTILINE):
        if int(count) > 0:
            yield name, int(count)


# ---- {disk} in parameters: nbdkit-replicate(1) ----

DISK = "{disk}"

# Parameters of a target that name what no two disks may share.
_OF_ONE_DISK = ("file", "apply-stats", "fanout-state", "fanout-stats")


def is_of_one_disk(parameter: str) -> bool:
    return "=" in parameter and parameter.partition("=")[0] in _OF_ONE_DISK


# ---- Passwords: nbdkit_read_password in nbdkit-plugin(3) ----

ASK_PASSWORD = "password=-"


def shows_password(parameter: str) -> bool:
    """Whether the password itself is in the parameter: it is not with password=-, =-FD and =+FILE."""
    return parameter.startswith("password=") and not re.match("password=[-+]", parameter)


def password_from(descriptor: int) -> str:
    return f"password=-{descriptor}"


def inherited_descriptors(command: Sequence[str]) -> list[int]:
    """Those from which a module reads a password."""
    return [int(match[1]) for word in command if (match := re.fullmatch(r"password=-(\d+)", word))]


# ---- Module files: the meson.build of each module ----


def module(kind: str, name: str, build: str | None) -> str:
    """How nbdkit is told of a plugin or filter: its path in the build tree if it is there, else its name."""
    path = os.path.join(build or "", f"{kind}s", name, f"nbdkit-{name}-{kind}.so")
    return os.path.abspath(path) if build and os.path.exists(path) else name
