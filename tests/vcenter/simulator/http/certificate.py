# SPDX-License-Identifier: BSD-3-Clause
"""Makes a certificate authority and a server certificate with openssl."""

import hashlib
import os
import ssl
import subprocess


def make(directory):
    """Returns (CA file, certificate file, key file, SHA-1 thumbprint, SHA-256 thumbprint)."""
    def path(name):
        return os.path.join(directory, name)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2"]
    _openssl("req", "-x509", *new_key, "-subj", "/CN=Simulated vCenter CA",
             "-keyout", path("ca.key"), "-out", path("ca.pem"),
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl("req", "-x509", *new_key, "-subj", "/CN=localhost",
             "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
             "-keyout", path("server.key"), "-out", path("server.pem"),
             "-addext", "basicConstraints=critical,CA:FALSE",
             "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
             "-addext", "extendedKeyUsage=serverAuth")
    with open(path("server.pem"), encoding="ascii") as file:
        der = ssl.PEM_cert_to_DER_cert(file.read())
    return (path("ca.pem"), path("server.pem"), path("server.key"),
            _colons(hashlib.sha1(der).hexdigest()), _colons(hashlib.sha256(der).hexdigest()))


def _colons(digits):
    return ":".join(digits[at:at + 2] for at in range(0, len(digits), 2)).upper()


def _openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.strip()}")
