# SPDX-License-Identifier: BSD-3-Clause
"""The HTTPS server: HTTP/1.1 with connections kept alive, a thread for each."""

import http.server
import json
import socket
import ssl
import struct
import sys
from urllib.parse import parse_qsl, urlsplit

from simulator.http import datastore as folder
from simulator.api import soap
from simulator.control.controls import CONTROLS, Arguments

MOST_SOAP = 16 << 20  # bytes of a request


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "VMware-simulated", ""
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # status, headers and a short body leave in one piece

    def setup(self):
        self.request.settimeout(60)
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
        else:
            self._reply(404, b"")

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        """http.server's own complaints; ordinary requests are logged by _reply."""
        self.server.service.log(format % args)

    def log_request(self, code="-", size="-"):
        pass

    # --- SOAP

    def _soap(self):
        length = int(self.headers.get("Content-Length", 0))
        if length > MOST_SOAP:
            self.close_connection = True
            self._reply(413, b"")
            return
        service = self.server.service
        session = service.sessions.by_cookie(self.headers.get("Cookie"))
        status, reply, new_session, said = soap.answer(service, self.rfile.read(length), session)
        headers = [("Set-Cookie", new_session.set_cookie())] if new_session else []
        self._reply(status, reply, "text/xml; charset=utf-8", headers, said)

    # --- files

    def _folder(self):
        service = self.server.service
        service.closing.wait(service.delay)
        url = urlsplit(self.path)
        on_host = self.server.on_host
        places = ["folder"] + (["flat"] if url.path.endswith("-flat.vmdk") else [])
        order = service.orders.due(*(["host"] if on_host else places))
        try:
            headers = self._authenticate(order)
            if order and order.kind.isdecimal():
                raise folder.Refused(int(order.kind))
            if order and order.kind == "stall":
                service.closing.wait(order.seconds)
                self.close_connection = True
                return
            content = folder.find(service.inventory, url.path, url.query, on_host)
            service.count_folder(on_host=on_host)
            asked = None if order and order.kind == "ignore-range" else self.headers.get("Range")
            wanted = folder.wanted_range(asked, content.size)
        except folder.Refused as refused:
            self._reply(refused.status, b"", headers=list(refused.headers),
                        said=f"Range: {self.headers.get('Range')}")
            return
        if wanted:
            headers.append(("Content-Range", f"bytes {wanted[0]}-{wanted[1] - 1}/{content.size}"))
        self._send(content, wanted, headers, order)

    def _authenticate(self, order):
        """A session's cookie, or Basic, which opens a session: the headers that tell of it."""
        sessions = self.server.service.sessions
        if self.server.on_host:
            if (order and order.kind == "401") or not self.server.service.tickets.admits(
                    self.headers.get("Cookie"), self.path):
                raise folder.Refused(401)
            return []
        if not (order and order.kind == "401"):
            if sessions.by_cookie(self.headers.get("Cookie")):
                return []
            session = sessions.by_basic(self.headers.get("Authorization"))
            if session:
                return [("Set-Cookie", session.set_cookie())]
        raise folder.Refused(401, [("WWW-Authenticate", 'Basic realm="VMware HTTP server"')])

    def _send(self, content, wanted, headers, order):
        start, end = wanted or (0, content.size)
        self._start(206 if wanted else 200, content.kind, end - start,
                    headers + [("Accept-Ranges", "bytes")], f"Range: {self.headers.get('Range')}")
        if self.command == "HEAD":
            return
        if order and order.kind in ("short", "reset"):
            self.close_connection = True
            end = start + (end - start) // 2
        self.wfile.flush()
        self.server.service.count_folder(requests=1)
        for at in range(start, end, folder.PIECE):
            piece = content.read(at, min(folder.PIECE, end - at))
            self.connection.sendall(piece)
            self.server.service.count_folder(sent=len(piece))
        if order and order.kind == "reset":
            self._break_off()

    def _break_off(self):
        """Ends the connection with a TCP reset instead of a farewell."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())

    # --- control

    def _control(self, name):
        query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self._body()
        try:
            if name not in CONTROLS:
                raise ValueError(f"no such control; there are: {', '.join(sorted(CONTROLS))}")
            said = CONTROLS[name](self.server.service, Arguments(self.server.service, query), body)
            status = 200
        except (ValueError, OSError) as error:
            said, status = {"error": f"/_test/{name}: {error}"}, 400
        for _ in body:  # what the control did not want
            pass
        self._reply(status, json.dumps(said, indent=1).encode() + b"\n", "application/json")

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

    def _start(self, status, kind, length, headers, said):
        self.server.service.log(f"{self.command} {self.path} {said} -> {status}")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def _reply(self, status, body, kind="text/plain", headers=(), said=""):
        self._start(status, kind, len(body), headers, said)
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service, certificate, key, on_host=False):
        """on_host: as the ESXi host, which has nothing but /folder."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.service, self.on_host = service, on_host
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)

    def get_request(self):
        """The handshake is left to the connection's own thread, so that nobody can hold up others."""
        connection, address = super().get_request()
        return self.context.wrap_socket(connection, server_side=True,
                                        do_handshake_on_connect=False), address

    def shutdown_request(self, request):
        try:
            request.settimeout(1)
            request = request.unwrap()
        except (OSError, ValueError):
            pass
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """A client that went away is not worth a stack trace; our own mistakes are."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self.service.log(f"connection ended: {error}")
        else:
            self.service.log_exception()
