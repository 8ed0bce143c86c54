# SPDX-License-Identifier: BSD-3-Clause
"""The small files of a virtual machine on its datastore, by /folder of the vCenter Server or ESXi host. For the programs."""
import contextlib
import hashlib
import http.client
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from ..files import replace_file
from .lookup import datacenter_path, properties_of
from .session import CONNECT, Session

KINDS = ("config", "extendedConfig", "nvram")  # of vim.vm.FileLayoutEx.FileType: .vmx, .vmxf, .nvram
LARGEST = 64 << 20  # bytes
LOCKED = 500  # the status that servers answer for a file that cannot be opened


class Locked(OSError):
    """A host says so of a file that the machine's own host has open."""


def download(opened: Session, machine: Any, directory: str) -> list[str]:
    """The .vmx, the .vmxf and the .nvram as they are, atomically. Returns their names, without those that are locked as the
    machine runs."""
    facts = properties_of(opened.content, machine, "config.files.vmPathName", "layoutEx.file", "datastore",
                          "runtime.powerState")
    center = datacenter_path(machine)
    stores = [one.name for one in facts["datastore"]]
    names = []
    for file in _paths(facts):
        store, path = _split(file, stores)
        name = os.path.basename(path)
        if name in ("", ".", ".."):
            raise ValueError(f"{file}: is no file")
        try:
            replace_file(os.path.join(directory, name), _get(opened, center, store, path))
            names.append(name)
        except Locked:
            if facts["runtime.powerState"] == "poweredOff":
                raise
    return names


def _paths(facts: dict[str, Any]) -> list[str]:
    """[DATASTORE] PATH of each, the .vmx first."""
    vmx = facts["config.files.vmPathName"]
    layout = facts.get("layoutEx.file") or []
    return list(dict.fromkeys([vmx, *(one.name for kind in KINDS for one in layout if one.type == kind)]))


def _split(file: str, stores: list[str]) -> tuple[str, str]:
    """A datastore can have "] " in its name."""
    for store in sorted(stores, key=len, reverse=True):
        if file.startswith(f"[{store}] "):
            return store, file.removeprefix(f"[{store}] ")
    store, _, path = file.removeprefix("[").partition("] ")
    return store, path


def _get(opened: Session, center: str, store: str, path: str) -> bytes:
    """Some servers decode the query twice, which matters for names with characters that are quoted."""
    once = (quote(center, safe="/~"), quote(store, safe="/~"))
    twice = (quote(once[0], safe="/~"), quote(once[1], safe="/~"))
    status, content = 404, b""
    for quoted_center, quoted_store in dict.fromkeys((once, twice)):
        with _connection(opened) as connection:
            connection.request("GET", f"/folder/{quote(path, safe='/~')}?dcPath={quoted_center}&dsName={quoted_store}",
                               headers={"Cookie": opened.cookie})
            response = connection.getresponse()
            status, content = response.status, response.read(LARGEST + 1)
            if response.length and len(content) <= LARGEST:  # a read of so many bytes is content with less
                raise http.client.IncompleteRead(content, response.length)
        if status != 404:
            break
    if status != 200:
        raise (Locked if status == LOCKED else OSError)(f"[{store}] {path}: the server answers {status}")
    if len(content) > LARGEST:
        raise OSError(f"[{store}] {path}: is larger than {LARGEST >> 20} MiB")
    return content


@contextlib.contextmanager
def _connection(opened: Session) -> Iterator[http.client.HTTPSConnection]:
    connection = http.client.HTTPSConnection(opened.host, opened.port, context=opened.context, timeout=CONNECT)
    with contextlib.closing(connection) as one:
        one.connect()
        certificate = one.sock.getpeercert(binary_form=True) or b""
        if opened.thumbprint and hashlib.sha1(certificate).hexdigest() != opened.thumbprint:
            raise OSError("its certificate has another thumbprint than a moment ago")
        yield one
