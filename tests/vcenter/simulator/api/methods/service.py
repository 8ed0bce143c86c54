# SPDX-License-Identifier: BSD-3-Clause
"""The service, sessions and service tickets."""

import uuid

from simulator.api.elements import child, text
from simulator.api.faults import Fault, invalid_argument
from simulator.api.methods.registry import method
from simulator.api.values import Reference, leaf, tag

# The UUID is new in each run, so that each run is another vCenter.
_VCENTER = (("name", "VMware vCenter Server"), ("osType", "linux-x64"), ("productLineId", "vpx"),
            ("apiType", "VirtualCenter"), ("instanceUuid", str(uuid.uuid4())))
_ESXI = (("name", "VMware ESXi"), ("osType", "vmnix-x86"), ("productLineId", "embeddedEsx"),
         ("apiType", "HostAgent"))


@method("ServiceInstance", "RetrieveServiceContent")
def retrieve_service_content(call):
    about = "".join(leaf(name, value) for name, value in (
        ("vendor", "VMware, Inc."), ("version", "8.0.2"), ("build", "22617221"),
        *(_ESXI if call.inventory.esxi else _VCENTER), ("apiVersion", "8.0.2.0")))
    service = call.inventory.service
    return tag("returnval", "".join(Reference(service[field]).field(field) for field in (
        "rootFolder", "propertyCollector", "viewManager")) + tag("about", about) + "".join(
            Reference(service[field]).field(field) for field in ("sessionManager", "searchIndex")))


@method("SessionManager", "Login")
def login(call):
    session = call.service.sessions.login(call.argument("userName", ""), call.argument("password", ""))
    if session is None:
        raise Fault("InvalidLogin",
                    "Cannot complete login due to an incorrect user name or password.")
    call.new_session = session
    return tag("returnval", session.inner())


@method("SessionManager", "Logout")
def logout(call):
    call.service.sessions.logout(call.session)
    return ""


@method("SessionManager", "AcquireGenericServiceTicket")
def acquire_generic_service_ticket(call):
    tickets, spec = call.service.tickets, child(call.arguments, "spec")
    url = text(spec, "url", "") if spec is not None else ""
    if tickets.thumbprint is None or not url.startswith("https://"):
        raise Fault("NotSupported", "The operation is not supported on the object.")
    if text(spec, "method", "httpGet") != "httpGet":
        raise invalid_argument("spec.method")
    return tag("returnval", leaf("id", tickets.issue(url)) +
               leaf("hostName", url.removeprefix("https://").partition("/")[0]) +
               leaf("sslThumbprint", tickets.thumbprint))
