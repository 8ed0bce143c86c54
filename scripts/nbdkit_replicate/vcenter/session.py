# SPDX-License-Identifier: BSD-3-Clause
"""A session of VMware's client with a vCenter Server or an ESXi host, and what its errors mean. For this folder's programs.

A request has the fields of plan.VCenter. The password is read from its file here.
"""
import errno
import hashlib
import http.client
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

PAGE = 1000  # objects of an answer
CONNECT = 20.0  # seconds
SILENCE = 60.0  # seconds within an answer

# What a fault means to those who asked. Besides these there are "away", if the server cannot be reached now, and "".
KINDS = {"InvalidLogin": "refused", "ToolsUnavailable": "tools", "InvalidPowerState": "power", "ManagedObjectNotFound": "gone",
         "TaskInProgress": "busy", "LookupError": "gone"}


@dataclass(frozen=True)
class Session:
    """To be closed by close(), and not by a context manager of contextlib: it sets the traceback of an exception that passes
    through, which pyVmomi's faults do not let be set."""

    instance: Any  # vim.ServiceInstance
    content: Any  # vim.ServiceInstanceContent
    host: str
    port: int
    context: ssl.SSLContext  # does not verify if the thumbprint does
    thumbprint: str | None  # the SHA-1 of the certificate, if that is what is compared
    cookie: str  # "name=value" of the session

    def close(self) -> None:
        _log_out(self.instance)


def error_of(error: Exception) -> dict[str, str]:
    """As the programs answer it."""
    if isinstance(error, ImportError):
        return {"error": "python3-pyvmomi is not installed", "kind": ""}
    return {"error": text_of(error), "kind": kind_of(error)}


def name_of(error: BaseException) -> str:
    """Of a fault, without the package that it is in."""
    return type(error).__name__.rpartition(".")[2]


def kind_of(error: Exception) -> str:
    if name_of(error) in KINDS:
        return KINDS[name_of(error)]
    lost = isinstance(error, (ConnectionError, TimeoutError, http.client.HTTPException, socket.gaierror)) or (
        isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH))
    return "away" if lost else ""


def text_of(error: Exception) -> str:
    kind = name_of(error)
    if kind == "InvalidLogin":
        return "the user name or the password is wrong"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error) or kind
    message = getattr(error, "msg", None) or str(error)
    if message and isinstance(error, (LookupError, RuntimeError, ValueError)):  # ours
        return message
    return f"{kind}: {message}" if message else kind


def open_session(request: dict[str, Any]) -> Session:
    """Logged in. Every wait has a deadline."""
    from pyVim.connect import SmartConnect  # pylint: disable=import-outside-toplevel
    with open(request["password_file"], encoding="utf-8") as file:
        password = file.readline().rstrip("\r\n")
    thumbprint, insecure = request.get("thumbprint"), request.get("insecure")
    context = ssl.create_default_context(cafile=request.get("cafile"))
    if thumbprint or insecure:  # pyVmomi compares the thumbprint itself
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    host, port = host_and_port(request["server"])
    socket.create_connection((host, port), timeout=CONNECT).close()  # pyVmomi has no deadline for that
    socket.setdefaulttimeout(SILENCE)  # its connections take it
    sha1 = _sha1_of(host, port, context, thumbprint) if thumbprint else None
    instance = SmartConnect(host=host, port=port, user=request["user"], pwd=password, sslContext=context,
                            **({"thumbprint": sha1} if sha1 else {}))
    try:
        content = instance.RetrieveContent()
    except BaseException:
        _log_out(instance)
        raise
    cookie = instance._stub.cookie.partition(";")[0]  # pylint: disable=protected-access
    return Session(instance, content, host, port, context, sha1, cookie)


def _log_out(instance: Any) -> None:
    """If that is still possible: it is the end in any case."""
    from pyVim.connect import Disconnect  # pylint: disable=import-outside-toplevel
    try:
        Disconnect(instance)
    except Exception:  # pylint: disable=broad-except
        pass


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


def host_and_port(server: str) -> tuple[str, int]:
    host, colon, port = server.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return server.strip("[]"), 443


def properties(content: Any, kind: Any, objects: Iterable[Any], paths: tuple[str, ...]) -> dict[Any, dict[str, Any]]:
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
