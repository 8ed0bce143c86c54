# SPDX-License-Identifier: BSD-3-Clause
"""What the command knows about the modules: their files, names, parameters and messages to programs.

All such knowledge is here, in images (files of the qcow2 plugin) and in states (state files), and nowhere else in
this package. The comment at each part names the manual page, or the C++ function, that it must agree with. A change
there is a change here.
"""
import json
import os
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .messages import Failure
from .parameters import has, value

# ---- Plugins ----


def is_plugin(plugin: str, name: str) -> bool:
    """Whether PLUGIN, as nbdkit takes it, is the plugin of that name: the name, or the path of its module."""
    return os.path.basename(plugin) in (name, f"nbdkit-{name}-plugin.so")


def has_deadlines(plugin: str) -> bool:
    """Whether it waits for no network without a deadline of its own. Most plugins do, such as nbdkit-nbd-plugin(1)."""
    return any(is_plugin(plugin, name) for name in ("vsphere", "qcow2", "file"))


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


def delta_bytes(sizes: Mapping[int, int]) -> int:
    """How much is to be copied. sizes: flags of base:allocation -> bytes of the disk."""
    return sum(size for flags, size in sizes.items() if is_delta_extent(flags))


def is_delta_extent(kind: int) -> bool:
    """kind: flags of base:allocation. delta shows what need not be copied as a hole that is zero."""
    return kind != _HOLE | _ZERO


def data_bytes(sizes: Mapping[int, int]) -> int:
    """How much of that a client reads: what is not zero according to the map."""
    return sum(size for flags, size in sizes.items() if not flags & _ZERO)


_HOLE, _ZERO = 1, 2  # NBD protocol, "base:allocation" metadata context


def is_disk(export: str) -> bool:
    """False for the exports with the honest extents, which delta adds: honest_name() in filters/delta."""
    return export != "honest" and not export.startswith("honest/")


LONGEST = 86400  # seconds that a module waits at most: parse_timeout() in common/nbdkit/params.cpp, and reconnect-for=


def timeout_over(patience: float) -> str:
    """Of a request to a source, in seconds: it waits for as long as the source tries again, and a while. patience: that."""
    return f"{min(patience + 120, LONGEST):.0f}"


def source_parameters(plugin: str, parameters: Sequence[str], state: str, for_pull: bool = False) -> list[str]:
    """With what tells vsphere which changes to show, delta what is owed, and coalesce its limit. state: a file or a directory.
    for_pull: pull reads the state itself, and delta refuses that of a destination that clients have written to."""
    since = [f"since=@{state}"] if is_plugin(plugin, "vsphere") and value(parameters, "since") is None else []
    owed = [] if for_pull and value(parameters, "delta-digests") is None else [f"delta-owed={state}"]
    # With it all processes of a run take less than 128 MiB; the filter's own default is 64M. Not where the user has given what
    # it has to be large enough for.
    is_sized = any(has(parameters, f"coalesce-{key}") for key in ("memory", "chunk", "priority"))
    memory = [] if is_sized else ["coalesce-memory=48M"]
    return [*parameters, *since, *owed, *memory]


RETRY_PAUSE = 10  # seconds


def reconnecting(plugin: str, parameters: Sequence[str], seconds: float) -> tuple[list[str], list[str]]:
    """Filters below coalesce, and parameters, with which a source that cannot be reached is tried again for so long. What the
    parameters say themselves stays. Other plugins than these two read local files, or have no such thing."""
    if seconds and is_plugin(plugin, "vsphere"):
        return [], [] if value(parameters, "reconnect-for") else [f"reconnect-for={seconds:.0f}"]
    if seconds and is_plugin(plugin, "nbd") and value(parameters, "retries") is None:
        count = max(1, round(seconds / RETRY_PAUSE))
        return ["retry"], [f"retries={count}", f"retry-delay={RETRY_PAUSE}", "retry-exponential=no"]
    return [], []


def is_refused_login(cause: str) -> bool:
    """Whether this is what vsphere reports of a login that is refused: plugins/vsphere/api/fault_error.cpp."""
    return "the user name or the password is wrong" in cause


# ---- Targets: nbdkit-apply-filter(1), nbdkit-fanout-filter(1) ----


def apply_parameters(source_uri: str, state: str) -> list[str]:
    return [f"apply-from={source_uri}", f"apply-state={state}"]


CLIENTS = ("nbdcopy", "qemu-img", "pull")  # what copies from the source to a target; pull: the target itself


def pull_parameters(source_uri: str, threads: int | None) -> list[tuple[str, str]]:
    """nbdkit-pull-filter(1) as the client of a copy: keys and values. What the user does not give is as with nbdcopy: a source
    that is lost ends the copy, and one that is slow is waited for, as it has deadlines of its own."""
    waiting = str(LONGEST)
    return [("pull-copy", "on"), ("pull-from", source_uri), ("pull-retries", "0"), ("pull-timeout", waiting),
            ("pull-connect-timeout", waiting), *([("pull-workers", str(min(threads, 64)))] if threads else [])]


def is_written_by_clients(state: Mapping[str, Any]) -> bool:
    """Of a state of nbdkit-pull-filter(1): a client has changed the destination."""
    return state.get("pull") == "written"


def use_parameters(source_uri: str, state: str, patience: float) -> list[tuple[str, str]]:
    """nbdkit-pull-filter(1) as a server for clients: keys and values. patience: seconds for which a source tries again."""
    waiting = timeout_over(patience)
    timeouts = [("pull-timeout", waiting), ("pull-connect-timeout", waiting)] if patience else []
    return [("pull-from", source_uri), ("pull-state", state), *timeouts]


# Parameters of the pull filter that the run itself gives, or that mean nothing without its state.
PULL_OWN = ("pull-copy", "pull-from", "pull-state", "pull-image")


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
        with open(path, encoding="utf-8") as text:
            name = json.load(text)["destination"]
    except OSError as e:
        raise Failure(f"cannot read {path}: {e.strerror}") from e
    except (ValueError, KeyError, TypeError) as e:
        why = str(e) if isinstance(e, ValueError) else "it names no destination"
        raise Failure(f"{path} is not a usable state file ({why}): remove it, and the whole disk is copied to its "
                      "destination") from e
    return str(name)


def reason_for_owing(error: str) -> str | None:
    """What fanout says at its end of a destination that is owed something: "NAME" or "NAME: REASON", without the number of
    bytes and what to do, which the run says itself. None: it is another error. save_at_end() in filters/fanout."""
    match = re.fullmatch(r"(.*?)[;:] \d+ bytes are owed; saved in .*: run it again with the same fanout-state .*", error)
    return match[1] if match else None


def reason_for_giving_up(error: str) -> str | None:
    """Why pull has given up a copy. None: it is another error. PullServer::give_up() in filters/pull."""
    prefix = "pull: the copy is given up: "
    return error.removeprefix(prefix) if error.startswith(prefix) else None


# ---- {disk} in parameters: nbdkit-replicate(1) ----

DISK = "{disk}"

# Parameters of a target that name what no two disks may share.
_OF_ONE_DISK = ("file", "apply-stats", "apply-digests", "apply-digests-parent", "fanout-state", "fanout-stats", "pull-stats")
# Of a source, which has all disks of a machine: what no two machines may share.
_OF_ONE_SOURCE = ("coalesce-stats", "delta-digests")


def is_of_one_disk(parameter: str) -> bool:
    return "=" in parameter and parameter.partition("=")[0] in _OF_ONE_DISK


def is_of_one_source(parameter: str) -> bool:
    return "=" in parameter and parameter.partition("=")[0] in _OF_ONE_SOURCE


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
