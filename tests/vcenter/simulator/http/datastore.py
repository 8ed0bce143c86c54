# SPDX-License-Identifier: BSD-3-Clause
"""/folder: the files of a datastore over HTTPS, as vCenter and ESXi hosts serve them."""

import re
from urllib.parse import parse_qsl, unquote

PIECE = 1 << 20  # read and sent at a time


class Refused(Exception):
    """An HTTP status instead of content."""

    def __init__(self, status, headers=()):
        super().__init__(str(status))
        self.status, self.headers = status, headers


class Content:
    """What a path has: its size, and read(offset, length)."""

    def __init__(self, size, read, kind):
        self.size, self.read, self.kind = size, read, kind


def find(inventory, path, query, on_host=False):
    """The Content of a /folder path with its dcPath and dsName. Each may be quoted once or twice. A host
    knows no dcPath."""
    asked = dict(parse_qsl(query, keep_blank_values=True))
    center, datastore = asked.get("dcPath", ""), asked.get("dsName", "")
    if on_host and "dcPath" in asked:
        raise Refused(404)
    once = unquote(path.removeprefix("/folder/"))
    for spell in (lambda name: name, unquote):
        for name in (once, unquote(once)):
            found = inventory.file(None if on_host else spell(center), spell(datastore), name)
            if found:
                return _content(*found, name)
    raise Refused(404)


def _content(vm, disk, name):
    flat = disk.base_name.removesuffix(".vmdk") + "-flat.vmdk"
    if name == flat:
        return _flat(vm, disk)
    with disk.lock:
        chain = [one.file_name for one in disk.snapshots] + [disk.file_name]
        sizes = [one.size for one in disk.snapshots] + [disk.size]
    if name not in chain:
        raise Refused(404)  # also the -delta files: their format is not simulated
    at = chain.index(name)
    text = _descriptor(name, sizes[at], chain[at - 1] if at else None).encode()
    return Content(len(text), lambda offset, length: text[offset:offset + length],
                   "application/octet-stream")


def _flat(vm, disk):
    """The bytes of the base VMDK. While a running VM writes to it, it is locked."""
    frozen = disk.base()
    if frozen is None and vm.power == "poweredOn":
        raise Refused(500)
    return Content(frozen.size if frozen else disk.size,
                   lambda offset, length: disk.read(frozen, offset, length),
                   "application/octet-stream")


def _descriptor(name, size, parent):
    stem = name.rpartition("/")[2].removesuffix(".vmdk")
    kind, extent = ("vmfsSparse", "VMFSSPARSE") if parent else ("vmfs", "VMFS")
    file = f"{stem}-delta.vmdk" if parent else f"{stem}-flat.vmdk"
    hint = f'parentFileNameHint="{parent.rpartition("/")[2]}"\n' if parent else ""
    cylinders = max(1, size // (255 * 63 * 512))
    return ("# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=fffffffe\n"
            f"parentCID={'fffffffe' if parent else 'ffffffff'}\n"
            f'createType="{kind}"\n{hint}\n# Extent description\n'
            f'RW {size // 512} {extent} "{file}"\n\n# The Disk Data Base \n#DDB\n\n'
            f'ddb.adapterType = "lsilogic"\nddb.geometry.cylinders = "{cylinders}"\n'
            'ddb.geometry.heads = "255"\nddb.geometry.sectors = "63"\n'
            'ddb.longContentID = "7fbe8e3f27b4c8f19ae4ac98fffffffe"\nddb.thinProvisioned = "1"\n'
            'ddb.uuid = "60 00 C2 9b 38 3d 5b 36-59 3c 5f 1f 4d 1b 6e 27"\n'
            'ddb.virtualHWVersion = "19"\n')


def wanted_range(header, size):
    """(start, end) of a Range header, or None for everything. Raises Refused(416)."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not match or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:
        start, end = max(0, size - int(last)), size
    if start >= end:
        raise Refused(416, [("Content-Range", f"bytes */{size}")])
    return start, end
