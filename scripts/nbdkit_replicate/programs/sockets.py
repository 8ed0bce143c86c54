# SPDX-License-Identifier: BSD-3-Clause
"""The sockets of another process: pidfd_getfd(2)."""
import ctypes
import errno
import os
import socket
from collections.abc import Iterator

_PIDFD_GETFD = 438  # the system call, of Linux 5.6; the same number on all architectures that Debian supports

_libc = ctypes.CDLL(None, use_errno=True)


def duplicate(process: int, number: int) -> socket.socket:
    """Of the socket that is this descriptor of the process, of which `process` is a descriptor. Raises OSError, with ENOTSOCK
    if it is something else."""
    descriptor = _libc.syscall(_PIDFD_GETFD, process, number, 0)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        raise


def sockets_of(process: int) -> Iterator[socket.socket]:
    """Duplicates, each until the next one is asked for. Raises OSError if the system does not allow it."""
    opened = os.pidfd_open(process)
    try:
        folder = f"/proc/{process}/fd"
        for number in os.listdir(folder):
            one = _socket_if_any(opened, folder, number)
            if one is not None:
                with one:
                    yield one
    finally:
        os.close(opened)


def _socket_if_any(process: int, folder: str, number: str) -> socket.socket | None:
    try:
        if os.readlink(f"{folder}/{number}").startswith("socket:"):
            return duplicate(process, int(number))
    except OSError as e:
        if e.errno not in (errno.ENOENT, errno.EBADF, errno.ENOTSOCK):  # it has just been closed, and may be another one now
            raise
    return None
