# SPDX-License-Identifier: BSD-3-Clause
"""Where a disk is written to. Until all of it is there, nothing looks as if it were:

- a file is FILE.partial;
- of a block device and of an NBD server the first MiB is zeroes. It has the partition table, or the superblock of a file
  system, and is written last.

A target is checked first; then it is a context manager, in whose block it belongs to this restore.
"""
import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from ..contract import module
from ..files import rename_new, sync_directory
from ..images import read_image
from ..messages import Failure, WrongUse
from ..points.naming import PARTIAL
from ..tls import peer_of_uri
from .in_use import is_locked, open_unused
from .remote import Remote

HEAD = 1 << 20  # bytes


@dataclass(frozen=True)
class FileTarget:
    path: str
    overwrite: bool
    format: str  # raw or qcow2

    @property
    def partial(self) -> str:
        return self.path + PARTIAL

    def check(self, size: int) -> str:
        """Raises Failure if it cannot be written to. Returns a warning, or ""."""
        folder = os.path.dirname(self.path) or "."
        if not os.path.isdir(folder):
            raise Failure(f"{folder} is not a directory")
        if os.path.lexists(self.path):
            if not os.path.isfile(self.path):
                raise Failure(f"{self.path} is neither a file nor a block device")
            if not self.overwrite:
                raise Failure(f"{self.path} exists already: --overwrite replaces it")
            os.close(open_unused(self.path))
        if os.path.lexists(self.partial):
            self._check_partial()
        return ""

    def _check_partial(self) -> None:
        """It may be what an interrupted restore has left, but not an image that a run writes."""
        mark = None
        with contextlib.suppress(Failure):
            mark = read_image(self.partial).mark
        if mark is not None and mark.complete is not None:
            raise WrongUse(f"{self.partial} is an image that a run has not completed: choose another name")
        os.close(open_unused(self.partial))

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        if os.path.lexists(self.partial):  # of a restore that was killed
            os.close(open_unused(self.partial))
            os.unlink(self.partial)
        lock = os.open(self.partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.partial)
            raise
        finally:
            os.close(lock)

    def server(self, size: int, build: str | None) -> list[str] | None:
        """The command of a server that it is written by; None: nbdcopy writes to it."""
        if self.format == "raw":
            return None
        return ["nbdkit", module("plugin", "qcow2", build), f"file={self.partial}", "create=always",
                f"size={(size + 511) // 512 * 512}"]

    def finish(self) -> None:
        """After all has been written, durably."""
        if self.format == "qcow2" and is_locked(self.partial):
            raise Failure(f"{self.partial} is still in use")
        if not self.overwrite:
            rename_new(self.partial, self.path)
            return
        os.replace(self.partial, self.path)
        sync_directory(os.path.dirname(self.path))


class DeviceTarget:
    plugin = "file"  # of server()

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = -1

    def check(self, size: int) -> str:
        descriptor = open_unused(self.path)
        try:
            there = os.lseek(descriptor, 0, os.SEEK_END)
        finally:
            os.close(descriptor)
        return check_size(self.path, there, size)

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        self._descriptor = open_unused(self.path)
        try:
            yield
        finally:
            os.close(self._descriptor)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.pwrite(self._descriptor, view, len(data) - len(view)):]
        os.fsync(self._descriptor)

    def server(self, size: int, build: str | None) -> list[str]:
        return ["nbdkit", "--filter=offset", self.plugin, self.path, f"offset={HEAD}", f"range={size - HEAD}"]

    def finish(self) -> None:
        pass


class RemoteTarget(Remote):
    """An NBD server."""

    plugin = "nbd"  # of server()

    def check(self, size: int) -> str:
        peer = peer_of_uri("--to", self.uri)
        if peer is not None:
            peer.check()
        warnings = (peer and peer.warning(), check_size(self.name, self.size(), size))
        return "; ".join(filter(None, warnings))

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        yield

    def server(self, size: int, build: str | None) -> list[str]:
        return ["nbdkit", "--filter=offset", self.plugin, *self.parameters(), f"offset={HEAD}", f"range={size - HEAD}"]

    def finish(self) -> None:
        pass


Target = FileTarget | DeviceTarget | RemoteTarget


def target_of(text: str, overwrite: bool, kind: str | None) -> Target:
    """text: a file, a block device, or an NBD URI. kind: raw or qcow2; None: by the name of the file."""
    is_device = os.path.exists(text) and stat.S_ISBLK(os.stat(text).st_mode)
    if kind == "qcow2" and ("://" in text or is_device):
        raise WrongUse(f"--to {text}: only a file can be written in the format qcow2")
    if "://" in text:
        return RemoteTarget(text)
    if is_device:
        return DeviceTarget(text)
    path = os.path.realpath(text)
    return FileTarget(path, overwrite, kind or ("qcow2" if path.endswith(".qcow2") else "raw"))


def check_size(name: str, there: int, size: int) -> str:
    if there < size:
        raise Failure(f"{name} is too small: it has {there} bytes, and the disk has {size}")
    return f"{name} is larger than the disk: what is beyond {size} bytes stays as it is" if there > size else ""
