# SPDX-License-Identifier: BSD-3-Clause
"""Controls that play the guest of a VM."""

from simulator.control.registry import control


@control
def write(service, arguments, body):
    """Writes the body of the request at offset=, or length= times byte=."""
    disk, offset = arguments.disk(), arguments.number("offset")
    if arguments.has("length"):
        length, byte = arguments.number("length"), arguments.number("byte")
        arguments.all_used()
        disk.fill(offset, length, byte)
        return {"written": length}
    arguments.all_used()
    start = offset
    for piece in body:
        disk.write(offset, piece)
        offset += len(piece)
    return {"written": offset - start}


@control
def unmap(service, arguments, body):
    disk = arguments.disk()
    offset, length = arguments.number("offset"), arguments.number("length")
    arguments.all_used()
    disk.unmap(offset, length)
    return {}


@control
def lie(service, arguments, body):
    disk = arguments.disk()
    offset, length = arguments.number("offset"), arguments.number("length")
    byte = arguments.number("byte")
    arguments.all_used()
    disk.fill(offset, length, byte, tracked=False)
    return {}


@control
def import_(service, arguments, body):
    disk, path = arguments.disk(), arguments.text("file")
    arguments.all_used()
    return {"changed": disk.import_file(path)}


@control
def touch(service, arguments, body):
    disk, count, every = arguments.disk(), arguments.number("count"), arguments.number("every", 2)
    arguments.all_used()
    disk.touch(count, every)
    return {}


@control
def grow(service, arguments, body):
    disk, size = arguments.disk(), arguments.number("size")
    arguments.all_used()
    disk.grow(size)
    return {}
