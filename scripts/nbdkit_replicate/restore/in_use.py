# SPDX-License-Identifier: BSD-3-Clause
"""Who else uses a file or a block device that is to be written to."""
import errno
import fcntl
import glob
import os
import stat
import struct

from ..messages import Failure

_FLOCK = "hhqqi4x"  # struct flock of fcntl(2), where files have 64-bit offsets
_F_OFD_GETLK = 36


def open_unused(path: str) -> int:
    """A descriptor for writing. While it is open the kernel refuses to mount a block device, and other programs that ask for
    it alone. Raises Failure if somebody uses it."""
    kind = os.stat(path).st_mode
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if stat.S_ISBLK(kind) else 0))
    except OSError as e:
        if e.errno == errno.EBUSY:
            raise Failure(f"{path} is in use: it is mounted, or another device or program has it") from e
        raise
    try:
        why = _user_of(path, descriptor)
        if why:
            raise Failure(f"{path} is in use: {why}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_locked(path: str) -> bool:
    """QEMU, qemu-img, nbdkit with the qcow2 plugin or another program has it open."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return _has_locks(descriptor)
    finally:
        os.close(descriptor)


def _user_of(path: str, descriptor: int) -> str:
    if _has_locks(descriptor):
        return "QEMU or another program has locked it"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "another program has locked it"
    here = os.fstat(descriptor)
    for backing in glob.glob("/sys/block/loop*/loop/backing_file"):
        try:
            with open(backing, encoding="utf-8") as file:
                there = os.stat(file.read().strip())
        except OSError:
            continue
        if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
            return f"it is attached to /dev/{backing.split('/')[3]}"
    return ""


def _has_locks(descriptor: int) -> bool:
    """Locks by fcntl(2) of any byte: QEMU has them on bytes 100 to 299."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, *_ = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, _F_OFD_GETLK, asked))
    return bool(kind != fcntl.F_UNLCK)
