# SPDX-License-Identifier: BSD-3-Clause
"""What somebody else does just before a method is called, once."""

import threading


class BeforeMethods:
    def __init__(self):
        self.lock = threading.Lock()  # protects the list
        self.pending = []  # (method, function)

    def add(self, method, function):
        with self.lock:
            self.pending.append((method, function))

    def run(self, method):
        with self.lock:
            due = [function for name, function in self.pending if name == method]
            self.pending = [one for one in self.pending if one[0] != method]
        for function in due:
            function()
