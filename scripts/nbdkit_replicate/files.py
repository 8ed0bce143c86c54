# SPDX-License-Identifier: BSD-3-Clause
"""Files and directories that the user names."""
import contextlib
import errno
import os
import secrets


def resolved(path: str) -> str:
    """The same file, by a name that is the same however it is reached: locks of files are found by their names.

    A path without symbolic links is returned as it is.
    """
    real = os.path.realpath(path)
    return path if real == os.path.abspath(path) else os.path.join(real, "") if path.endswith("/") else real


def make_directory(path: str) -> None:
    """With the directories above it. Those that are created can be entered by their user only."""
    path = os.path.abspath(path)
    if not os.path.isdir(path):
        make_directory(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:  # made meanwhile; or no directory, which is an error
            if not os.path.isdir(path):
                raise


def rename_new(old: str, new: str) -> None:
    """Durably, within a directory. Raises FileExistsError if there is a file of the new name: only for names that nobody
    else gives meanwhile. Like durability::rename_file()."""
    if os.path.lexists(new):
        raise FileExistsError(f"{new} exists already")
    os.rename(old, new)
    sync_directory(os.path.dirname(new))


def replace_file(path: str, content: str | bytes, mode: int = 0o600) -> None:
    """Atomic and durable, as common/durability/replace_file.hpp does it. The file keeps its mode and owner; mode is
    that of a new one."""
    new = f"{path}.tmp-{secrets.token_hex(8)}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, mode)
        with os.fdopen(descriptor, "wb") as file:
            with contextlib.suppress(FileNotFoundError):
                _keep_owner(descriptor, os.stat(path))
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(descriptor)
        os.rename(new, path)
    except BaseException:
        os.unlink(new)
        raise
    sync_directory(os.path.dirname(path))


def open_to_lock(path: str) -> int:
    """A descriptor for flock(2). For writing if that is allowed: NFS makes of it a lock of byte ranges, which is exclusive
    only for who can write. As common/util/file_lock.cpp does it."""
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, os.O_RDWR | flags)
    except OSError as e:
        if e.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return os.open(path, os.O_RDONLY | flags)


def sync_directory(path: str) -> None:
    sync_file(path or ".", os.O_DIRECTORY)


def sync_file(path: str, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep_owner(descriptor: int, status: os.stat_result) -> None:
    os.fchmod(descriptor, status.st_mode & 0o7777)
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, status.st_uid, status.st_gid)
