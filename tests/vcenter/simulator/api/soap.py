# SPDX-License-Identifier: BSD-3-Clause
"""SOAP envelopes: decodes requests, runs methods, and encodes answers and faults."""

import xml.etree.ElementTree as ElementTree

from simulator.api.elements import child, local, text
from simulator.api.faults import Fault, not_found
from simulator.api.injected_faults import UNAVAILABLE
from simulator.api.methods import ANY, METHODS, WITHOUT_SESSION
from simulator.api.values import leaf, tag

_OPEN = ('<?xml version="1.0" encoding="UTF-8"?>\n'
         '<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" '
         'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
         'xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
         'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n<soapenv:Body>\n')
_CLOSE = "\n</soapenv:Body>\n</soapenv:Envelope>"


class Unavailable(Exception):
    """An HTTP status without SOAP, as of a proxy in front of a vCenter that restarts."""


class Lost(Exception):
    """The connection ends without an answer."""


class Huge(Exception):
    """An answer of so many bytes of empty elements, in pieces."""

    def __init__(self, size):
        super().__init__(size)
        self.head, self.tail = _response("Huge")
        self.size, self.piece = size, b"<a/>" * (1 << 16)

    def __len__(self):
        return len(self.head) + self.size + len(self.tail)

    def pieces(self):
        yield self.head
        for at in range(0, self.size, len(self.piece)):
            yield self.piece[:self.size - at]
        yield self.tail


def _response(method):
    return (f'{_OPEN}<{method}Response xmlns="urn:vim25">'.encode(),
            f"</{method}Response>{_CLOSE}".encode())


class Call:
    """One method called on one object."""

    def __init__(self, service, element, session):
        self.service, self.inventory = service, service.inventory
        self.arguments = element
        self.method = local(element)
        self.session = session
        self.new_session = None  # opened by Login
        self.missing = None  # the fault with which a property collector tells nothing
        this = child(element, "_this")
        self.this_moref = (this.text or "") if this is not None else ""
        self.this_kind = this.get("type", "") if this is not None else ""
        self.this = self.inventory.get(self.this_moref)

    def argument(self, name, default=None):
        return text(self.arguments, name, default)

    def run(self):
        """The inside of the response element."""
        self.service.before.run(self.method)
        self.service.injected_faults.called(self.method)
        injected = self.service.injected_faults.take(self.method)
        if injected and injected.kind == UNAVAILABLE:
            raise Unavailable
        if injected and injected.kind == "huge":
            raise Huge(int(injected.seconds) << 20)
        if injected and injected.kind == "stall":
            self.service.closing.wait(injected.seconds)
        elif injected and injected.kind == "missing":
            self.missing = injected.key or "NoPermission"
        elif injected and injected.kind != "lost":
            raise injected.fault()
        if self.session is None and not self._allowed_without_session():
            raise Fault("NotAuthenticated", "The session is not authenticated.",
                        tag("object", self.this_moref, ref=self.this_kind) +
                        leaf("privilegeId", "System.View"))
        if self.this is None:
            raise not_found(self.this_kind, self.this_moref)
        function = METHODS.get((self.this.kind, self.method)) or METHODS.get((ANY, self.method))
        if function is None:
            raise Fault("MethodNotFound",
                        f"{self.this.kind}:{self.this_moref} does not implement: {self.method}",
                        tag("receiver", self.this_moref, ref=self.this.kind) +
                        leaf("method", self.method))
        result = function(self)
        if injected and injected.kind == "lost":
            self._wait_for_its_task()
            raise Lost
        return result

    def _wait_for_its_task(self):
        if self.method.endswith("_Task"):
            with getattr(self.this, "vm", self.this).busy:
                pass

    def _allowed_without_session(self):
        """Besides the two methods: reading the current session, which is not set then."""
        if self.method in WITHOUT_SESSION:
            return True
        asked = [one.text for one in self.arguments.iter() if local(one) == "obj"]
        return (self.method.startswith("RetrieveProperties") and
                asked == [self.inventory.session_manager.moref])


def answer(service, body, session):
    """(HTTP status, reply, new Session or None, text for the log) for the bytes of a request; status 0: no answer."""
    try:
        envelope = ElementTree.fromstring(body)
        soap_body = child(envelope, "Body")
        element = next(iter(soap_body)) if soap_body is not None else None
    except (ElementTree.ParseError, StopIteration):
        element = None
    if element is None:
        fault = Fault("InvalidRequest", "XML document could not be parsed")
        return 500, _fault(fault), None, "not SOAP"
    call = Call(service, element, session)
    service.count(call.method)
    service.inventory.session_manager.set_current(session)
    try:
        inner = call.run()
    except Unavailable:
        return int(UNAVAILABLE), b"", None, f"{call.method} {call.this_moref}"
    except Lost:
        return 0, b"", None, f"{call.method} {call.this_moref}"
    except Huge as huge:
        return 200, huge, None, f"{call.method} {call.this_moref}"
    except Fault as fault:
        return 500, _fault(fault), None, f"{call.method} {call.this_moref} {fault.kind}"
    head, tail = _response(call.method)
    return 200, head + inner.encode() + tail, call.new_session, f"{call.method} {call.this_moref}"


def _fault(fault):
    return f"{_OPEN}<soapenv:Fault>{fault.detail()}</soapenv:Fault>{_CLOSE}".encode()
