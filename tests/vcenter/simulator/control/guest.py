# SPDX-License-Identifier: BSD-3-Clause
"""Controls that play the guest of a VM."""

import json

from simulator.control.registry import control
from simulator.model import ext4
from simulator.model.writer import Writer
from simulator.options import size


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
def writer(service, arguments, body):
    """A program that overwrites areas, which are those of files in an ext4 file system, or the body's."""
    vm, disk = arguments.vm(), arguments.disk()
    files = [name for name in arguments.text("files", "").split(",") if name]
    rounds = [size(word) for word in arguments.text("rounds", "").split(",") if word]
    rate, last = size(arguments.text("rate", "0")), size(arguments.text("last", "0"))
    arguments.all_used()
    if files:
        areas, file_system = ext4.areas_of_files(disk.path, files), ext4.Superblock(disk)
    else:
        areas, file_system = json.loads(b"".join(body)), None
    vm.guest.add(Writer(disk, areas, rate, rounds, last, file_system))
    return {"areas": areas}


@control
def nowriter(service, arguments, body):
    vm = arguments.vm()
    arguments.all_used()
    vm.guest.remove_all()
    return {}


@control
def grow(service, arguments, body):
    disk, size = arguments.disk(), arguments.number("size")
    arguments.all_used()
    disk.grow(size)
    return {}
