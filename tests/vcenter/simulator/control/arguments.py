# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of controls."""


class Arguments:
    """The query of a control request. Raises ValueError for what is missing or unknown."""

    def __init__(self, service, query):
        self.service, self.query, self.used = service, query, set()

    def text(self, name, default=None):
        self.used.add(name)
        value = self.query.get(name, default)
        if value is None:
            raise ValueError(f"{name}= is missing")
        return value

    def number(self, name, default=None):
        return int(self.text(name, None if default is None else str(default)), 0)

    def flag(self, name):
        value = self.text(name)
        if value not in ("0", "1"):
            raise ValueError(f"{name}={value}: must be 0 or 1")
        return value == "1"

    def has(self, name):
        return name in self.query

    def vm(self):
        moref = self.text("vm", "")
        found = [vm for vm in self.service.inventory.machines() if moref in ("", vm.moref)]
        if len(found) != 1:
            raise ValueError(f"vm={moref}: {len(found)} such virtual machines")
        return found[0]

    def disk(self):
        vm, key = self.vm(), self.text("disk", "")
        found = [disk for disk in vm.disks if key in ("", str(disk.key))]
        if len(found) != 1:
            raise ValueError(f"disk={key}: {len(found)} such disks")
        return found[0]

    def all_used(self):
        unknown = set(self.query) - self.used
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
