#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""forward.py FROM TO: passes connections on. An address is the path of a Unix socket or a port of
127.0.0.1. What is in another network namespace can be reached through a Unix socket."""

import socket
import sys
import threading


def address(text):
    return (socket.AF_INET, ("127.0.0.1", int(text))) if text.isdecimal() else (socket.AF_UNIX, text)


def pump(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for one in (source, sink):
            one.close()


def main():
    family, where = address(sys.argv[1])
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(where)
    server.listen()
    print("listening", flush=True)
    while True:
        client, _ = server.accept()
        to_family, to = address(sys.argv[2])
        target = socket.socket(to_family)
        target.connect(to)
        for pair in ((client, target), (target, client)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


main()
