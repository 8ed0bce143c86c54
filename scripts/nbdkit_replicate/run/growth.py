# SPDX-License-Identifier: BSD-3-Clause
"""A file of nbdkit's file plugin that is smaller than the disk has become. (The qcow2 plugin enlarges its images.)"""
import os
import stat

from ..contract import is_plugin
from ..messages import say
from ..composition.replication import DiskCopy
from ..states import read_state


def enlarge_file(disk: DiskCopy, size: int) -> None:
    """Makes the file as large as the disk, of `size` bytes, if it is the copy of an earlier run and the disk has grown
    since. What is new is owed: apply and delta see to that."""
    path = disk.image
    if not is_plugin(disk.target.plugin, "file") or path is None:
        return
    if not disk.has_state() or read_state(disk.state).size >= size:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size >= size:
            return
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    say(f"{path}: enlarged from {status.st_size} to {size} bytes, as the disk has grown")
