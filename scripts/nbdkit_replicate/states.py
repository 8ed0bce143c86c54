# SPDX-License-Identifier: BSD-3-Clause
"""State files: nbdkit-replicate-delta(7); common/replication/state_file.hpp."""
import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .files import open_to_lock, replace_file
from .messages import Failure


@dataclass(frozen=True)
class State:
    """The target holds the source as of `checkpoint`, except for `owed` bytes."""

    checkpoint: str
    owed: int
    image: str = ""  # UUID of the image that is the target; "": not known
    size: int = 0  # of the disk, in bytes
    used: bool = False  # clients of the pull filter have changed the target: it is no replica any more


def read_state(path: str) -> State:
    state = _load(path)
    try:
        return State(state["checkpoint"], sum(length for _, length in state["owed"]), state.get("image", ""),
                     int(state["size"]), state.get("pull") == "written")
    except (ValueError, KeyError, TypeError) as e:
        raise Failure(f"cannot read {path}: {e}") from e


def is_whole(path: str) -> bool:
    """Whether there is a state, and it owes nothing."""
    return os.path.exists(path) and read_state(path).owed == 0


def require_full_copy(path: str) -> None:
    """Nothing that the state says of the target is relied on any more: the whole disk is owed. Does nothing while a
    server uses the state: that one says what it comes to. Like StateWriter::require_full_copy() in filters/apply."""
    path = os.path.realpath(path)
    with contextlib.suppress(BlockingIOError), _locked(path + ".lock", create=True), _locked(path):
        state = _load(path)
        state |= {"checkpoint": "", "owed": [[0, state["size"]]]}
        replace_file(path, json.dumps(state, separators=(",", ":")) + "\n")


@contextlib.contextmanager
def held(path: str) -> Iterator[None]:
    """No run uses the state within the block. Raises Failure if one does. The state need not exist."""
    path = os.path.realpath(path)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(path + ".lock", create=True))
            with contextlib.suppress(FileNotFoundError):
                stack.enter_context(_locked(path))
        except BlockingIOError:
            raise Failure(f"{path} is in use: a run or prune is under way") from None
        yield


@contextlib.contextmanager
def held_file(path: str, in_use: str) -> Iterator[None]:
    """Nobody else is in such a block for the file, which is created. Raises Failure with `in_use` otherwise."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(path, create=True))
        except BlockingIOError:
            raise Failure(in_use) from None
        yield


# A directory of states, DIRECTORY/DISK.state: common/replication/state_directory.hpp.

STATE_SUFFIX = ".state"


def names_directory(path: str) -> bool:
    return path.endswith("/") or os.path.isdir(path)


def state_path(directory: str, disk: str) -> str:
    return os.path.join(directory, disk + STATE_SUFFIX)


def disks_with_state(directory: str) -> list[str]:
    files = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    return [file.removesuffix(STATE_SUFFIX) for file in files if file.endswith(STATE_SUFFIX)]


def _load(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            state = json.load(file)
    except (OSError, ValueError) as e:
        raise Failure(f"cannot read {path}: {e}") from e
    if not isinstance(state, dict):
        raise Failure(f"cannot read {path}: it is not a state")
    return state


@contextlib.contextmanager
def _locked(path: str, create: bool = False) -> Iterator[None]:
    """As common/util/file_lock.hpp does it. Raises BlockingIOError if another process holds the lock."""
    new = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, new, 0o600) if create else open_to_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
