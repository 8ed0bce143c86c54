# SPDX-License-Identifier: BSD-3-Clause
"""Tickets with which a vCenter sends a client to an ESXi host: each for one file, for a while or once."""

import secrets
import threading
from urllib.parse import parse_qsl, unquote, urlsplit

COOKIE = "vmware_cgi_ticket"


def place_of(url):
    """What a ticket is for: the path and the datastore of a /folder URL."""
    parts = urlsplit(url)
    return unquote(parts.path), dict(parse_qsl(parts.query)).get("dsName", "")


class Tickets:
    def __init__(self):
        self.lock = threading.Lock()  # of all below
        self.open = {}  # id -> what it is for
        self.issued = 0
        self.once = False  # whether a ticket is good for one request only
        self.thumbprint = None  # of the host's certificate; None: there is no host

    def issue(self, url):
        with self.lock:
            self.issued += 1
            ticket = secrets.token_hex(16)
            self.open[ticket] = place_of(url)
            return ticket

    def expire_all(self):
        with self.lock:
            self.open.clear()

    def admits(self, header, url):
        """Whether a Cookie header has a ticket for that URL."""
        for part in (header or "").split(";"):
            name, _, ticket = part.strip().partition("=")
            if name != COOKIE:
                continue
            with self.lock:
                if self.open.get(ticket) == place_of(url):
                    if self.once:
                        del self.open[ticket]
                    return True
        return False
