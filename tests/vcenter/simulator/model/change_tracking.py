# SPDX-License-Identifier: BSD-3-Clause
"""Changed block tracking (CBT) of one disk.

Time is divided into numbered epochs. A snapshot ends the current epoch. Its changeId is "UUID/N", where N
is the epoch that begins with it. The changes since that snapshot, up to a later one with "UUID/M", are the
blocks written in the epochs N to M-1.
"""

import secrets


class UnknownChange(Exception):
    """The changes asked for are not known. The argument is the key of the message in the fault."""


class ChangeTracking:
    """Not synchronised: the disk's lock protects it."""

    def __init__(self):
        self.uuid = None  # None: CBT is off
        self.epoch = 0
        self.changed = {}  # epoch -> numbers of the blocks written in it
        self.last_query = None, []  # see _changed_between

    @property
    def on(self):
        return self.uuid is not None

    def switch(self, on):
        """Starts tracking, with nothing known of the past, or ends it."""
        if on != self.on:
            self.uuid, self.epoch, self.changed = (new_uuid() if on else None), 1, {}

    def reset(self):
        """As by storage vMotion, a crash or a revert: a new UUID, which makes older changeIds invalid."""
        if self.on:
            self.uuid, self.changed = new_uuid(), {}

    def begin_epoch(self):
        """Returns the number of the new epoch."""
        self.epoch += 1
        return self.epoch

    def add(self, blocks):
        """The blocks were written."""
        if self.on:
            self.changed.setdefault(self.epoch, set()).update(blocks)

    def changed_since(self, change_id, until=None):
        """Sorted numbers of the blocks written since change_id: up to the DiskSnapshot `until`, or up to
        now."""
        uuid, _, number = change_id.rpartition("/")
        since = int(number) if number.isdecimal() else 0
        last = until.epoch if until else self.epoch + 1
        if uuid != (until or self).uuid or uuid != self.uuid or not 0 < since <= last:
            raise UnknownChange("cannotGetChanges")
        return self._changed_between(since, last)

    def _changed_between(self, since, last):
        """The last result is kept, as a query comes in many pages."""
        epochs = {epoch: len(self.changed.get(epoch, ())) for epoch in range(since, last)}
        if self.last_query[0] != (self.uuid, epochs):
            blocks = set().union(*(self.changed.get(epoch, ()) for epoch in epochs))
            self.last_query = (self.uuid, epochs), sorted(blocks)
        return self.last_query[1]


def new_uuid():
    """In the form that VMware uses in a changeId: 52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63"""
    raw = secrets.token_hex(16)
    pairs = ["52"] + [raw[i:i + 2] for i in range(2, 32, 2)]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])
