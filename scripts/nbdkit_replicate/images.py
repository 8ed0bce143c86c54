# SPDX-License-Identifier: BSD-3-Clause
"""Images of the qcow2 plugin: nbdkit-qcow2-plugin(1), parameters and "Identity"."""
import fcntl
import os
import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .contract import is_plugin
from .messages import Failure
from .parameters import add_default, bare, value
from .states import State

BACKING = ("backing=", "backing-format=")

_ON = ("1", "true", "t", "yes", "y", "on")  # nbdkit_parse_bool


def is_qcow2(plugin: str) -> bool:
    return is_plugin(plugin, "qcow2")


def image_file(parameters: Sequence[str]) -> str | None:
    """file=FILE, or a parameter without a key; the last one, as the plugin takes them."""
    files = [p.removeprefix("file=") for p in parameters if p.startswith("file=") or bare(p)]
    return files[-1] if files else None


def is_sealed(parameters: Sequence[str]) -> bool:
    seal = value(parameters, "seal") or ""
    return seal.startswith("@") or seal.lower() in _ON


def open_file_of(parameters: Sequence[str]) -> str | None:
    """The file that the plugin opens if it is there: FILE, or FILE.partial with seal=. partial_name() in plugins/qcow2."""
    file = image_file(parameters)
    if file is None or not is_sealed(parameters):
        return file
    return file + ".partial" if os.path.exists(file + ".partial") else file


def creates_image(plugin: str, parameters: Sequence[str]) -> bool:
    """Whether the plugin creates an image, perhaps in place of one that exists."""
    file = open_file_of(parameters)
    if not is_qcow2(plugin) or file is None:
        return False
    return not os.path.exists(file) or value(parameters, "create") == "always"


def continues_image(parameters: Sequence[str]) -> bool:
    """Whether the plugin, with seal=, goes on with what an interrupted run has begun, also with create=always."""
    file = image_file(parameters)
    return file is not None and is_sealed(parameters) and os.path.exists(file + ".partial")


def image_size(size: int) -> int:
    """The size of a new image for a disk of so many bytes: whole sectors."""
    return (size + 511) // 512 * 512


def is_smaller(plugin: str, parameters: Sequence[str], size: int) -> bool:
    """Whether the plugin opens an image whose disk has fewer bytes. What is wrong with the image is for it to say."""
    file = open_file_of(parameters)
    if not is_qcow2(plugin) or file is None:
        return False
    try:
        return read_image(file).size < size
    except (OSError, Failure):
        return False


def image_parameters(plugin: str, parameters: Sequence[str], state: str) -> list[str]:
    """With the state that says when the image is complete; then it is marked as that, and has its name with seal=on."""
    result = [*parameters]
    if is_qcow2(plugin):
        add_default(result, "state", state)
    return result


def other_state(plugin: str, parameters: Sequence[str], state: str) -> str | None:
    """A parameter by which another state file would say when the image is complete; None if there is none."""
    for parameter in parameters if is_qcow2(plugin) else ():
        for prefix in ("seal=@", "state="):
            path = parameter.removeprefix(prefix)
            if path != parameter and os.path.realpath(path) != os.path.realpath(state):
                return parameter
    return None


@dataclass(frozen=True)
class Mark:
    """What an image says of itself: plugins/qcow2/format/identity.hpp."""

    uuid: str
    parent: str  # UUID of the backing file when the image was created; "" if none
    complete: bool | None  # None: nobody has said
    completed: int  # when, in seconds since 1970
    checkpoint: bytes  # that it is complete of; cut to the room for it,
    cut: bool  # perhaps
    label: str

    def is_of(self, checkpoint: str) -> bool:
        wanted = checkpoint.encode()
        return wanted.startswith(self.checkpoint) if self.cut else wanted == self.checkpoint


@dataclass(frozen=True)
class Image:
    size: int  # of the disk, in bytes
    clean: bool  # False: it has the dirty bit, so it was not closed in order
    mark: Mark | None  # None: it is an image of another program
    backing: str = ""  # the name of the backing file as it is in the header; "": none
    backing_format: str = ""  # "": the header does not say


def is_in_use(path: str) -> bool:
    """Whether another program has opened the image, as QEMU and the qcow2 plugin lock it: plugins/qcow2/file/image_lock.cpp.
    False where the file system has no locks."""
    lock = struct.pack("@hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, _LOCKED_FROM, _LOCKED, 0)
    try:
        with open(path, "rb") as file:
            found = fcntl.fcntl(file, fcntl.F_OFD_GETLK, lock)
    except OSError:
        return False
    return int(struct.unpack("@hhqqi0q", found)[0]) != fcntl.F_UNLCK


_LOCKED_FROM, _LOCKED = 100, 200  # bytes of the file


def read_image(path: str) -> Image:
    """QCOW2 specification, "Header" and "Header extensions". Throws OSError, or Failure if it is no QCOW2 image."""
    start, header_length = _read_start(path)
    dirty = start[7] == 3 and int.from_bytes(start[72:80], "big") & 1
    extensions = {kind: start[at:at + length] for kind, at, length in _extensions(start, header_length)}
    mark = _mark(extensions[EXTENSION]) if EXTENSION in extensions else None
    at, length = int.from_bytes(start[8:16], "big"), int.from_bytes(start[16:20], "big")
    return Image(int.from_bytes(start[24:32], "big"), not dirty, mark,
                 os.fsdecode(start[at:at + length]) if at else "",
                 extensions.get(_BACKING_FORMAT, b"").decode(errors="replace"))


def mark_place(path: str) -> tuple[int, int] | None:
    """Where in the file the data of the mark is, and its length. Throws as read_image()."""
    places = (place for kind, *place in _extensions(*_read_start(path)) if kind == EXTENSION)
    place = next(places, None)
    return (place[0], place[1]) if place else None


EXTENSION, _BACKING_FORMAT = 0x4E425249, 0xE2792ACA
FIXED, MOST = 48, 128  # bytes of a mark: before label and checkpoint; of a checkpoint


def _read_start(path: str) -> tuple[bytes, int]:
    """The beginning of the file, and the length of the header without extensions."""
    with open(path, "rb") as file:
        # Extensions of ours and the name of the backing file lie before that, those of others seldom beyond.
        start = file.read(1 << 16)
    version = int.from_bytes(start[4:8], "big")
    if start[:4] != b"QFI\xfb" or version not in (2, 3) or len(start) < 104:
        raise Failure(f"{path} is not a QCOW2 image")
    return start, int.from_bytes(start[100:104], "big") if version == 3 else 72


def _extensions(start: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Of each: its type, and where its data is, with the length."""
    while at + 8 <= len(start):
        kind, length = int.from_bytes(start[at:at + 4], "big"), int.from_bytes(start[at + 4:at + 8], "big")
        if kind == 0:
            return
        yield kind, at + 8, length
        at += 8 + (length + 7) // 8 * 8


def _mark(data: bytes) -> Mark | None:
    """None if the data is not that of a mark."""
    if len(data) < FIXED or not any(data[:16]):
        return None
    state, label, checkpoint = data[32:35]
    room = len(data) - FIXED - label
    if state > 2 or checkpoint > room:
        return None
    text = data[FIXED:]
    return Mark(
        uuid=str(uuid.UUID(bytes=data[:16])),
        parent=str(uuid.UUID(bytes=data[16:32])) if any(data[16:32]) else "",
        complete=(None, False, True)[state],
        completed=int.from_bytes(data[40:48], "big"),
        checkpoint=text[label:label + checkpoint],
        cut=checkpoint == min(room, MOST),
        label=text[:label].decode(errors="replace"))


def contradicts(mark: Mark, state: State) -> bool:
    """Whether the image says that it is complete as of another checkpoint than the state's: then it is an earlier or
    later copy of the image that the state is about, or the state is one of the image's past. (A state without a
    checkpoint relies on nothing. What another image is, is for the apply filter to refuse.)"""
    return (bool(mark.complete) and state.image == mark.uuid and state.checkpoint != ""
            and not mark.is_of(state.checkpoint))


def check_complete(parameters: Sequence[str], state: State) -> None:
    """After the end of the plugin: raises Failure if the file is not an image that is complete, as the state says."""
    file = image_file(parameters)
    if file is None:
        return
    if is_sealed(parameters) and os.path.exists(file + ".partial"):
        raise Failure(f"{file} is not complete and still called {file}.partial, see above")
    try:
        image = read_image(file)
    except FileNotFoundError:
        raise Failure(f"{file} is not there any more: it was moved or removed during the run; put it back if it has "
                      "been moved") from None
    if not image.clean:
        raise Failure(f"{file} was not closed cleanly, see above")
    mark = image.mark
    if mark is None:
        if state.image:
            raise Failure(f"{file} {_SWAPPED}")
        return
    if state.image and mark.uuid != state.image:
        raise Failure(f"{file} {_SWAPPED}")
    if mark.complete and not mark.is_of(state.checkpoint):
        raise Failure(f"{file} {_SWAPPED}")
    if not mark.complete:
        raise Failure(f"{file} is not marked as complete, see above")


_SWAPPED = "is not the image that was written: it was replaced during the run; put the right one back if it still exists"
