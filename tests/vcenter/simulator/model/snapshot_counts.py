# SPDX-License-Identifier: BSD-3-Clause
"""How many snapshots there were at the same time."""

import collections
import threading


class SnapshotCounts:
    """Of all VMs, "all", and of those on each host, by its reference."""

    def __init__(self):
        self.lock = threading.Lock()
        self.now = collections.Counter()
        self.most = collections.Counter()

    def add(self, vm, count):
        with self.lock:
            for name in ("all", *([vm.host.moref] if vm.host else [])):
                self.now[name] += count
                self.most[name] = max(self.most[name], self.now[name])
