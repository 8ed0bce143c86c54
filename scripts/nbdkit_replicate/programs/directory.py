# SPDX-License-Identifier: BSD-3-Clause
"""The temporary directory of a run, for its sockets and files; and those of runs that were killed."""
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile

from .. import PROGRAM

_PREFIX = PROGRAM + "."
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class RunDirectory:
    """Only its user can enter it. A context manager: the directory is removed at the end of the block.

    Who holds the lock (flock) of a directory uses it: nbdkit-replicate and the servers, which inherit `lock`. When the
    last of them has ended, without having removed the directory, the next run removes it.
    """

    def __init__(self) -> None:
        _remove_unused(tempfile.gettempdir())
        self.path, self.lock = _make_locked()

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)


def _make_locked() -> tuple[str, int]:
    while True:
        path = tempfile.mkdtemp(prefix=_PREFIX)
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(path, _OPEN)
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another run can have locked it first, and removed it.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(lock)):
                    return path, lock
            os.close(lock)


def _remove_unused(parent: str) -> None:
    with os.scandir(parent) as entries:
        paths = [entry.path for entry in entries if entry.name.startswith(_PREFIX)]
    for path in paths:
        with contextlib.suppress(OSError):  # in use, of another user, or removed by another run
            _remove_if_unused(path)


def _remove_if_unused(path: str) -> None:
    lock = os.open(path, _OPEN)
    try:
        status = os.fstat(lock)
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o700:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
    finally:
        os.close(lock)
