# SPDX-License-Identifier: BSD-3-Clause
"""The HTTPS server: HTTP/1.1 with persistent connections and a thread for each."""

import http.server
import ssl
import sys

from simulator.http.handler import Handler


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service, certificate, key, on_host=False):
        """on_host: be the ESXi host, which has /folder only."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.service, self.on_host = service, on_host
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)

    def get_request(self):
        """The TLS handshake is done in the thread of the connection, so that it delays no other client."""
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
        """Logs a stack trace, except for clients that have disconnected."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self.service.log(f"connection ended: {error}")
        else:
            self.service.log_exception()
