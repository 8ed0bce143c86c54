# SPDX-License-Identifier: BSD-3-Clause
"""Headers of images and states, as the plugin and the filter write them, for tests that need no servers."""
import json
import os
import uuid

TIMES = [f"2026110{night}T010000Z" for night in range(1, 10)]


def uuid_of(number):
    return str(uuid.UUID(int=number)) if number else ""


def mark_data(number, parent=0, state=2, checkpoint=b"", label=b"", completed=0, length=160):
    data = uuid.UUID(int=number).bytes + uuid.UUID(int=parent).bytes
    data += bytes([state, len(label), len(checkpoint)]) + bytes(5) + completed.to_bytes(8, "big")
    return (data + label + checkpoint).ljust(length, b"\0")


def write_image(path, mark=None, backing="", dirty=False, size=4096, backing_format="qcow2", filler=0):
    """The header of one; mark: the data of the extension. filler: bytes of an extension of another program before it."""
    header = bytearray(112)
    header[:8] = b"QFI\xfb\0\0\0\3"
    header[24:32] = size.to_bytes(8, "big")
    header[79] = dirty
    header[100:104] = (112).to_bytes(4, "big")
    extensions = b""
    if backing:
        extensions += _extension(0xE2792ACA, backing_format.encode())
    if filler:
        extensions += _extension(0x6803F857, bytes(filler))
    if mark is not None:
        extensions += _extension(0x4E425249, mark)
    extensions += bytes(8)
    if backing:
        header[8:16] = (112 + len(extensions)).to_bytes(8, "big")
        header[16:20] = len(backing).to_bytes(4, "big")
    with open(path, "wb") as file:
        file.write((bytes(header) + extensions + backing.encode()).ljust(4096, b"\0"))


def _extension(kind, data):
    return kind.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data + bytes(-len(data) % 8)


def write_state(path, number=1, checkpoint="c1", owed=(), size=4096):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        json.dump({"nbdkit-replicate": 1, "checkpoint": checkpoint, "source": "s", "vm": "", "disk": 1, "size": size,
                   "image": uuid_of(number), "owed": [list(pair) for pair in owed]}, file)
