# SPDX-License-Identifier: BSD-3-Clause
"""/folder: the files of a datastore over HTTPS, as served by vCenter and ESXi hosts."""

from urllib.parse import parse_qsl, unquote

from simulator.http.ranges import Refused
from simulator.http.vmdk_descriptor import vmdk_descriptor


class Content:
    """The content of a file: its size, and read(offset, length)."""

    def __init__(self, size, read, media_type):
        self.size, self.read, self.media_type = size, read, media_type


def find(inventory, path, query, on_host=False):
    """The Content for a /folder path with its dcPath and dsName, each of which may be quoted once or twice.
    An ESXi host has no dcPath."""
    arguments = dict(parse_qsl(query, keep_blank_values=True))
    center, datastore = arguments.get("dcPath", ""), arguments.get("dsName", "")
    if on_host and "dcPath" in arguments:
        raise Refused(404)
    once = unquote(path.removeprefix("/folder/"))
    for decode in (lambda name: name, unquote):
        for name in (once, unquote(once)):
            place = None if on_host else decode(center), decode(datastore)
            found = inventory.file(*place, name)
            if found:
                return _content(*found, name)
            small = inventory.small_file(*place, name)
            if small is not None:
                return _text(small)
    raise Refused(404)


def _content(vm, disk, name):
    flat = disk.base_name.removesuffix(".vmdk") + "-flat.vmdk"
    if name == flat:
        return _flat(vm, disk)
    with disk.lock:
        chain = [one.file_name for one in disk.snapshots] + [disk.file_name]
        sizes = [one.size for one in disk.snapshots] + [disk.size]
    if name not in chain:
        raise Refused(404)  # also -delta files, whose format is not simulated
    at = chain.index(name)
    return _text(vmdk_descriptor(name, sizes[at], chain[at - 1] if at else None).encode())


def _text(content):
    return Content(len(content), lambda offset, length: content[offset:offset + length], "application/octet-stream")


def _flat(vm, disk):
    """The base VMDK. It is locked while a running VM writes to it."""
    snapshot = disk.base()
    if snapshot is None and vm.power == "poweredOn":
        raise Refused(500)
    return Content((snapshot or disk).size,
                   lambda offset, length: disk.read(snapshot, offset, length),
                   "application/octet-stream")
