# SPDX-License-Identifier: BSD-3-Clause
"""I/O on raw files with holes."""

import ctypes
import errno
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_KEEP_SIZE, _PUNCH_HOLE = 1, 2


def data_ranges(fd, size):
    """Yields [start, end) of each range that is not a hole."""
    position = 0
    while position < size:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        position = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, min(position, size)


def make_zero(fd, offset, length):
    """Makes the range zeroes, as a hole if the file system supports it."""
    if length <= 0 or _libc.fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, offset, length) == 0:
        return
    while length > 0:
        piece = min(length, 1 << 20)
        write_all(fd, bytes(piece), offset)
        offset, length = offset + piece, length - piece


def is_zero(data):
    return data == bytes(len(data))


def write_all(fd, data, offset):
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def read_all(fd, length, offset):
    """Returns length bytes, with zeroes for what lies beyond the end of the file."""
    data = os.pread(fd, length, offset)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            return data + bytes(length - len(data))
        data += more
    return data
