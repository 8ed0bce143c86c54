# SPDX-License-Identifier: BSD-3-Clause
"""Service tickets, by which a vCenter refers a client to an ESXi host: each is for one file, for several
requests or for one."""

import secrets
import threading
from urllib.parse import parse_qsl, unquote, urlsplit

COOKIE = "vmware_cgi_ticket"


def file_of(url):
    """The file that a ticket is for: the path and the datastore of a /folder URL."""
    parts = urlsplit(url)
    return unquote(parts.path), dict(parse_qsl(parts.query)).get("dsName", "")


class Tickets:
    def __init__(self):
        self.lock = threading.Lock()  # protects all below
        self.open = {}  # id -> file_of()
        self.issued = []  # the ids of all tickets there have been
        self.once = False  # a ticket is valid for one request
        self.thumbprint = None  # of the certificate of the host; None: there is no host

    def issue(self, url):
        with self.lock:
            ticket = secrets.token_hex(16)
            self.issued.append(ticket)
            self.open[ticket] = file_of(url)
            return ticket

    def expire_all(self):
        with self.lock:
            self.open.clear()

    def admits(self, header, url):
        """Whether a Cookie header has a valid ticket for the URL."""
        for part in (header or "").split(";"):
            name, _, ticket = part.strip().partition("=")
            if name != COOKIE:
                continue
            with self.lock:
                if self.open.get(ticket) == file_of(url):
                    if self.once:
                        del self.open[ticket]
                    return True
        return False
