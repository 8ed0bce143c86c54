# SPDX-License-Identifier: BSD-3-Clause
"""Sessions: logins, cookies, and basic authentication."""

import base64
import binascii
import hmac
import secrets
import threading

from simulator.api.values import Value, leaf, now

COOKIE = "vmware_soap_session"


class Session:
    def __init__(self, user):
        self.key = secrets.token_hex(20)
        self.user, self.time = user, now()

    def inner(self):
        """The fields of a UserSession."""
        return (leaf("key", "52" + self.key[2:]) + leaf("userName", self.user) +
                leaf("fullName", self.user) + leaf("loginTime", self.time) +
                leaf("lastActiveTime", now()) + leaf("locale", "en") + leaf("messageLocale", "en"))

    def value(self):
        return Value("UserSession", self.inner())

    def set_cookie(self):
        """Quoted, as by a vCenter: clients must send the quotes back."""
        return f'{COOKIE}="{self.key}"; Path=/; HttpOnly; Secure'


class Sessions:
    def __init__(self, user, password):
        self.user, self.password = user, password
        self.lock = threading.Lock()  # protects all below
        self.open = {}  # key -> Session
        self.logins = 0
        self.issued = []  # the keys of all sessions there have been

    def login(self, user, password):
        """A new session, or None."""
        right_user = hmac.compare_digest(user.encode(), self.user.encode())
        if not (hmac.compare_digest(password.encode(), self.password.encode()) and right_user):
            return None
        session = Session(user)
        with self.lock:
            self.open[session.key] = session
            self.logins += 1
            self.issued.append(session.key)
        return session

    def logout(self, session):
        with self.lock:
            self.open.pop(session.key, None)

    def expire_all(self):
        with self.lock:
            count = len(self.open)
            self.open.clear()
            return count

    def by_cookie(self, header):
        """The session of a Cookie header, or None."""
        for part in (header or "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE:
                with self.lock:
                    found = self.open.get(value.strip('"'))
                if found:
                    return found
        return None

    def by_basic(self, header):
        """A new session for a valid Authorization header, or None."""
        scheme, _, coded = (header or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return self.login(user, password)
