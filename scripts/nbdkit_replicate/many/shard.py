# SPDX-License-Identifier: BSD-3-Clause
"""A plan that is shared among several hosts: which machines are those of one, and its part of the limits."""
import functools
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..messages import WrongUse
from ..plan.plan import Limits, Machine


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a plan. Each machine belongs to exactly one, always to the same one; when the count changes, as
    few as possible belong to another one."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """I/N. It may be counted from 0 or from 1: N/N is 0/N."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        index, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if count < 1 or index > count:
            raise WrongUse(f"--shard {text}: must be I/N, with I from 0 to N-1, or from 1 to N")
        return cls(index % count, count)

    def has(self, name: str) -> bool:
        return self.count == 1 or _shard_of(name, self.count) == self.index

    def of(self, machines: Iterable[Machine]) -> tuple[Machine, ...]:
        return tuple(machine for machine in machines if self.has(machine.name))

    def limits(self, limits: Limits) -> Limits:
        """The limits of all shards come to those of the plan, together. `disks` is one of a machine, and the rates are."""
        return replace(limits, **{key: self._part(key.replace("_", "-"), getattr(limits, key))
                                  for key in ("machines", "per_vcenter", "per_host")})

    def _part(self, key: str, limit: int | None) -> int | None:
        if limit is None:
            return None
        if limit < self.count:
            raise WrongUse(f"limits.{key} = {limit} cannot be divided among {self.count} shards: each of them needs at least "
                           f"1: make it {self.count} or more, or use fewer shards")
        return limit // self.count + (self.index < limit % self.count)


@functools.cache
def _shard_of(name: str, count: int) -> int:
    """Rendezvous hashing: that with the highest digest together with the name."""
    return max(range(count), key=lambda index: hashlib.sha256(f"{index}/{name}".encode()).digest())
