# SPDX-License-Identifier: BSD-3-Clause
"""The service, sessions and service tickets."""

from simulator.api.elements import child, text
from simulator.api.faults import Fault, invalid_argument
from simulator.api.methods.registry import method
from simulator.api.values import leaf, tag

@method("ServiceInstance", "RetrieveServiceContent")
def retrieve_service_content(call):
    return call.this.content().field("returnval")


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
