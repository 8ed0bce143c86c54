# SPDX-License-Identifier: BSD-3-Clause
"""The handler of HTTP requests: SOAP, /folder, and controls."""

import http.server
import json
import socket
import struct
from urllib.parse import parse_qsl, urlsplit

from simulator.api import soap
from simulator.control import CONTROLS, Arguments
from simulator.http import datastore
from simulator.http.ranges import Refused, asked_range, requested_range

MAX_SOAP = 16 << 20  # bytes of a request
PIECE = 1 << 20  # of a file, read and sent at a time; bytes

# The versions of the API, for clients that ask before they log in.
VERSIONS = ('<?xml version="1.0" encoding="UTF-8" ?>\n<namespaces version="1.0"><namespace>'
            "<name>urn:vim25</name><version>8.0.2.0</version><priorVersions>" +
            "".join(f"<version>{one}</version>" for one in (
                "8.0.1.0", "8.0.0.1", "7.0.3.0", "7.0", "6.7.3", "6.7", "6.5", "6.0", "5.5", "5.1")) +
            "</priorVersions></namespace></namespaces>\n")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "VMware-simulated", ""
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # status, headers and a short body leave in one piece

    def setup(self):
        self.request.settimeout(60)
        if not self.server.on_host and self.server.service.injected_faults.take("handshake"):
            raise ConnectionError("dropped before the TLS handshake")
        self.request.do_handshake()
        self.request.settimeout(None)
        super().setup()

    def do_POST(self):
        path = "" if self.server.on_host else urlsplit(self.path).path
        if path in ("/sdk", "/sdk/", "/sdk/vimService"):
            self._soap()
        elif path.startswith("/_test/"):
            self._control(path.removeprefix("/_test/"))
        else:
            self._drain()
            self._reply(404, b"")

    def do_GET(self):
        path = urlsplit(self.path).path
        if path.startswith("/folder/"):
            with self.server.service.in_folder():
                self._folder()
        elif path.startswith("/_test/"):
            self._control(path.removeprefix("/_test/"))
        elif path == "/sdk/vimServiceVersions.xml" and not self.server.on_host:
            self._reply(200, VERSIONS.encode(), "text/xml")
        else:
            self._reply(404, b"")

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        """The messages of http.server itself. Requests are logged by _start."""
        self.server.service.log(format % args)

    def log_request(self, code="-", size="-"):
        pass

    # --- SOAP

    def _soap(self):
        try:
            request = self._request()
        except ValueError:
            self.close_connection = True
            self._reply(413, b"")
            return
        service = self.server.service
        session = service.sessions.by_cookie(self.headers.get("Cookie"))
        status, reply, new_session, note = soap.answer(service, request, session)
        if status == 0:
            service.log(f"{self.command} {self.path} {note} -> nothing")
            self.close_connection = True
            return
        headers = [("Set-Cookie", new_session.set_cookie())] if new_session else []
        self._reply(status, reply, "text/xml; charset=utf-8", headers, note)

    def _request(self):
        """The body of a SOAP request, which may come in chunks. Raises ValueError if it is too large."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            length = int(self.headers.get("Content-Length", 0))
            if length > MAX_SOAP:
                raise ValueError
            return self.rfile.read(length)
        body = b""
        while length := int(self.rfile.readline(100).partition(b";")[0], 16):
            if len(body) + length > MAX_SOAP:
                raise ValueError
            body += self.rfile.read(length)
            self.rfile.readline(100)
        while self.rfile.readline(1000).strip():  # trailers
            pass
        return body

    # --- files

    def _folder(self):
        service = self.server.service
        asked = asked_range(self.headers.get("Range"))
        service.admit(asked)
        service.closing.wait(service.delay)
        url = urlsplit(self.path)
        on_host = self.server.on_host
        places = ["folder"] + (["flat"] if url.path.endswith("-flat.vmdk") else [])
        injected = service.injected_faults.take(*(["host"] if on_host else places), asked=asked)
        try:
            headers = self._authenticate(injected)
            if injected and injected.kind.isdecimal():
                raise Refused(int(injected.kind))
            if injected and injected.kind == "stall":
                service.closing.wait(injected.seconds)
                self.close_connection = True
                return
            content = datastore.find(service.inventory, url.path, url.query, on_host)
            service.count_folder(on_host=on_host)
            range_header = None if injected and injected.kind == "ignore-range" else self.headers.get("Range")
            requested = requested_range(range_header, content.size)
        except Refused as refused:
            self._reply(refused.status, b"", headers=list(refused.headers),
                        note=f"Range: {self.headers.get('Range')}")
            return
        if requested:
            start, end = requested
            headers.append(("Content-Range", f"bytes {start}-{end - 1}/{content.size}"))
        self._send(content, requested, headers, injected)

    def _authenticate(self, injected):
        """Checks the cookie of a session, or basic authentication, which opens a session. Returns headers
        for the answer. Raises Refused."""
        sessions = self.server.service.sessions
        if self.server.on_host:
            if (injected and injected.kind == "401") or not self.server.service.tickets.admits(
                    self.headers.get("Cookie"), self.path):
                raise Refused(401)
            return []
        if not (injected and injected.kind == "401"):
            if sessions.by_cookie(self.headers.get("Cookie")):
                return []
            session = sessions.by_basic(self.headers.get("Authorization"))
            if session:
                return [("Set-Cookie", session.set_cookie())]
        raise Refused(401, [("WWW-Authenticate", 'Basic realm="VMware HTTP server"')])

    def _send(self, content, requested, headers, injected):
        start, end = requested or (0, content.size)
        if injected and injected.kind == "shorter":
            end = start + (end - start) // 2
        self._start(206 if requested else 200, content.media_type, end - start,
                    headers + [("Accept-Ranges", "bytes")], f"Range: {self.headers.get('Range')}")
        if self.command == "HEAD":
            return
        if injected and injected.kind in ("short", "reset"):
            self.close_connection = True
            end = start + (end - start) // 2
        self.wfile.flush()
        self.server.service.count_folder(requests=1)
        for at in range(start, end, PIECE):
            piece = content.read(at, min(PIECE, end - at))
            self.connection.sendall(piece)
            self.server.service.count_folder(sent=len(piece))
        if injected and injected.kind == "reset":
            self._reset_connection()

    def _reset_connection(self):
        """Ends the connection with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())

    # --- control

    def _control(self, name):
        query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self._body()
        try:
            if name not in CONTROLS:
                raise ValueError(f"no such control; there are: {', '.join(sorted(CONTROLS))}")
            answer = CONTROLS[name](self.server.service, Arguments(self.server.service, query), body)
            status = 200
        except (ValueError, OSError) as error:
            answer, status = {"error": f"/_test/{name}: {error}"}, 400
        for _ in body:  # what the control has not read
            pass
        if isinstance(answer, str):
            self._reply(status, answer.encode() + b"\n", "text/plain; charset=utf-8")
            return
        self._reply(status, json.dumps(answer, indent=1).encode() + b"\n", "application/json")

    def _body(self):
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            piece = self.rfile.read(min(left, 1 << 20))
            if not piece:
                raise ConnectionError("the request ended early")
            left -= len(piece)
            yield piece

    def _drain(self):
        for _ in self._body():
            pass

    # --- answers

    def _start(self, status, media_type, length, headers, note):
        self.server.service.log(f"{self.command} {self.path} {note} -> {status}")
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(length))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def _reply(self, status, body, media_type="text/plain", headers=(), note=""):
        self._start(status, media_type, len(body), headers, note)
        if self.command != "HEAD":
            for piece in body.pieces() if hasattr(body, "pieces") else (body,):
                self.wfile.write(piece)
