# SPDX-License-Identifier: BSD-3-Clause
"""Program: asks a vCenter Server, or an ESXi host, for its virtual machines. One login.

Standard input: JSON with the fields of plan.VCenter, and "sizes", paths of the machines whose disks are asked for as well.
Standard output: JSON, {"vms": [{"path", "host", "template", "disks": {KEY: bytes}}]}, or {"error": TEXT, "kind": "refused", "away" or ""}.
"""
import contextlib
import errno
import hashlib
import http.client
import json
import socket
import ssl
import sys
from collections.abc import Iterable, Iterator
from typing import Any

PAGE = 1000  # objects of an answer
CONNECT = 20.0  # seconds


def main() -> None:
    request = json.load(sys.stdin)
    try:
        answer = _ask(request)
    except ImportError:
        answer = {"error": "python3-pyvmomi is not installed", "kind": ""}
    except Exception as e:  # pyVmomi raises faults, http.client's errors, and others  # pylint: disable=broad-except
        answer = {"error": _text(e), "kind": _kind(e)}
    json.dump(answer, sys.stdout)


def _kind(error: Exception) -> str:
    if type(error).__name__.rpartition(".")[2] == "InvalidLogin":
        return "refused"
    lost = isinstance(error, (ConnectionError, TimeoutError, http.client.HTTPException, socket.gaierror)) or (
        isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH))
    return "away" if lost else ""


def _text(error: Exception) -> str:
    kind = type(error).__name__.rpartition(".")[2]
    if kind == "InvalidLogin":
        return "the user name or the password is wrong"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error) or kind
    message = getattr(error, "msg", None) or str(error)
    return f"{kind}: {message}" if message else kind


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    with open(request["password_file"], encoding="utf-8") as file:
        password = file.readline().rstrip("\r\n")
    with _session(request, password) as content:
        return {"vms": list(_machines(content, request["sizes"]))}


@contextlib.contextmanager
def _session(request: dict[str, Any], password: str) -> Iterator[Any]:
    from pyVim.connect import Disconnect, SmartConnect  # pylint: disable=import-outside-toplevel
    thumbprint, insecure = request.get("thumbprint"), request.get("insecure")
    context = ssl.create_default_context(cafile=request.get("cafile"))
    if thumbprint or insecure:  # pyVmomi compares the thumbprint itself
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    host, port = _host_and_port(request["server"])
    socket.create_connection((host, port), timeout=CONNECT).close()  # pyVmomi has no deadline for that
    known = {"thumbprint": _sha1_of(host, port, context, thumbprint)} if thumbprint else {}
    instance = SmartConnect(host=host, port=port, user=request["user"], pwd=password, sslContext=context, **known)
    try:
        yield instance.RetrieveContent()
    finally:
        Disconnect(instance)


def _sha1_of(host: str, port: int, context: ssl.SSLContext, thumbprint: str) -> str:
    """Of the certificate with this SHA-1 or SHA-256 thumbprint: pyVmomi compares the SHA-1 of each connection, before it
    logs in. Throws OSError if the server has another certificate."""
    wanted = thumbprint.replace(":", "").lower()
    with socket.create_connection((host, port), timeout=CONNECT) as connection:
        with context.wrap_socket(connection, server_hostname=host) as secured:
            certificate = secured.getpeercert(binary_form=True) or b""
    digest = hashlib.sha1 if len(wanted) == 40 else hashlib.sha256
    if digest(certificate).hexdigest() != wanted:
        raise OSError(f"its certificate has the thumbprint {digest(certificate).hexdigest()}, not {wanted}: it is another "
                      "server, or its certificate has been replaced")
    return hashlib.sha1(certificate).hexdigest()


def _host_and_port(server: str) -> tuple[str, int]:
    host, colon, port = server.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return server.strip("[]"), 443


def _machines(content: Any, sizes: list[str]) -> Iterator[dict[str, Any]]:
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    try:
        found = list(view.view)
    finally:
        view.Destroy()
    facts = _properties(content, vim.VirtualMachine, found, ("name", "parent", "runtime.host", "config.template"))
    entities = {reference: facts[reference] for reference in facts}
    _add_parents(content, entities)
    paths = {reference: _path(reference, entities) for reference in facts}
    wanted = [reference for reference, path in paths.items() if path in sizes]
    hardware = _properties(content, vim.VirtualMachine, wanted, ("config.hardware.device",)) if wanted else {}
    hosts = {fact["runtime.host"] for fact in facts.values() if fact.get("runtime.host") is not None}
    for reference, path in paths.items():
        host = facts[reference].get("runtime.host")
        yield {"path": path, "host": host._moId if host in hosts else "",  # pylint: disable=protected-access
               "template": bool(facts[reference].get("config.template")),
               "disks": {str(one.key): one.capacityInKB * 1024
                         for one in hardware.get(reference, {}).get("config.hardware.device", [])
                         if isinstance(one, vim.vm.device.VirtualDisk)}}


def _add_parents(content: Any, entities: dict[Any, dict[str, Any]]) -> None:
    """Up to the root."""
    while missing := {fact["parent"] for fact in entities.values()
                      if fact.get("parent") is not None and fact["parent"] not in entities}:
        for kind in {type(reference) for reference in missing}:
            of_kind = [reference for reference in missing if type(reference) is kind]  # pylint: disable=unidiomatic-typecheck
            entities |= _properties(content, kind, of_kind, ("name", "parent"))


def _path(reference: Any, entities: dict[Any, dict[str, Any]]) -> str:
    """Without the root folder, which has no parent."""
    names: list[str] = []
    while entities[reference].get("parent") is not None:
        names.insert(0, entities[reference]["name"])
        reference = entities[reference]["parent"]
    return "/" + "/".join(names)


def _properties(content: Any, kind: Any, objects: Iterable[Any], paths: tuple[str, ...]) -> dict[Any, dict[str, Any]]:
    """Of objects of one kind. What has been deleted meanwhile is left out, and so are properties that are not set."""
    from pyVmomi import vmodl  # pylint: disable=import-outside-toplevel
    collector = vmodl.query.PropertyCollector
    objects = list(objects)
    result: dict[Any, dict[str, Any]] = {}
    for at in range(0, len(objects), PAGE):
        specification = collector.FilterSpec(
            propSet=[collector.PropertySpec(type=kind, pathSet=list(paths), all=False)],
            objectSet=[collector.ObjectSpec(obj=one) for one in objects[at:at + PAGE]],
            reportMissingObjectsInResults=True)
        page = content.propertyCollector.RetrievePropertiesEx([specification], collector.RetrieveOptions())
        while page is not None:
            result |= {one.obj: {two.name: two.val for two in one.propSet} for one in page.objects}
            page = content.propertyCollector.ContinueRetrievePropertiesEx(page.token) if page.token else None
    return result


if __name__ == "__main__":
    main()
