# SPDX-License-Identifier: BSD-3-Clause
"""Changes what an image says of itself: the header extension of plugins/qcow2/format/identity.hpp, in place."""
import os
import uuid

from .images import EXTENSION, FIXED, MOST, mark_place
from .messages import Failure

INCOMPLETE, COMPLETE = 1, 2
_LABEL_MOST = 64


def set_incomplete(path: str) -> None:
    """Durably. Nothing but the mark is changed."""
    data = _read(path)
    _write(path, data[:32] + bytes([INCOMPLETE]) + data[33:])


def set_complete(path: str, expected: str) -> None:
    """Durably; the image has the UUID `expected`, and its checkpoint is in its mark already."""
    data = _read(path)
    _check_uuid(path, data, expected)
    _write(path, data[:32] + bytes([COMPLETE]) + data[33:])


def give_mark(path: str, other: str, expected: str) -> None:
    """Durably. The image gets what the image `other`, whose UUID is `expected`, says of itself, except for what it lies on. It
    does not say that it is complete."""
    data, source = _read(path), _read(other)
    _check_uuid(other, source, expected)
    label, checkpoint = source[33], source[34]
    text = source[FIXED:FIXED + label + checkpoint]
    room = len(data) - FIXED
    kept_label = text[:min(label, _LABEL_MOST, room)]
    kept_checkpoint = text[label:][:min(checkpoint, MOST, room - len(kept_label))]
    head = source[:16] + data[16:32] + bytes([INCOMPLETE, len(kept_label), len(kept_checkpoint)]) + bytes(5) + source[40:48]
    _write(path, (head + kept_label + kept_checkpoint).ljust(len(data), b"\0"))


def _check_uuid(path: str, data: bytes, expected: str) -> None:
    found = str(uuid.UUID(bytes=data[:16]))
    if found != expected:
        raise Failure(f"{path} is the image {found}, and not {expected}: it has been replaced")


def _read(path: str) -> bytes:
    at, length = _place(path)
    with open(path, "rb") as file:
        file.seek(at)
        data = file.read(length)
    if len(data) != length or length < FIXED:
        raise Failure(f"{path}: the header extension 0x{EXTENSION:x} is damaged")
    return data


def _write(path: str, data: bytes) -> None:
    at, _ = _place(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)  # what the mark says is true before it says so
        if os.pwrite(descriptor, data, at) != len(data):
            raise Failure(f"{path}: the header cannot be written")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _place(path: str) -> tuple[int, int]:
    place = mark_place(path)
    if place is None:
        raise Failure(f"{path} does not say which image it is")
    return place
