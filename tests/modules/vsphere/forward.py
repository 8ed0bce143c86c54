#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""forward.py FROM TO [MOST]: passes connections on. An address is the path of a Unix socket or a port of
127.0.0.1; 0 is a free one, which is printed. What is in another network namespace can be reached through a
Unix socket. MOST: so many connections at a time; more are accepted, and closed at once."""

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


def serve(client, to, places):
    """Until both sides have ended."""
    try:
        to_family, to_where = address(to)
        target = socket.socket(to_family)
        target.connect(to_where)
        back = threading.Thread(target=pump, args=(target, client), daemon=True)
        back.start()
        pump(client, target)
        back.join()
    finally:
        places.release()


def main():
    family, where = address(sys.argv[1])
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(where)
    server.listen()
    print("listening", server.getsockname()[1] if family == socket.AF_INET else "", flush=True)
    places = threading.Semaphore(int(sys.argv[3]) if len(sys.argv) > 3 else 1000)
    while True:
        client, _ = server.accept()
        if places.acquire(blocking=False):
            threading.Thread(target=serve, args=(client, sys.argv[2], places), daemon=True).start()
        else:
            client.close()


main()
