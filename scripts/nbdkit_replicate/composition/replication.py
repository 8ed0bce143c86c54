# SPDX-License-Identifier: BSD-3-Clause
"""What is to be replicated, and where to."""
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ..contract import CLIENTS, DISK, is_plugin
from ..files import resolved
from ..images import continues_image, creates_image, image_file, is_smaller
from ..parameters import value
from ..states import disks_with_state, state_path


@dataclass(frozen=True)
class Module:
    """A plugin of nbdkit and its parameters, those of the filters above it included."""

    plugin: str
    parameters: tuple[str, ...]

    def of_disk(self, name: str) -> "Module":
        return Module(self.plugin.replace(DISK, name), _of_disk(self.parameters, name))


@dataclass(frozen=True)
class Destination:
    """An NBD server to which the fanout filter repeats every write."""

    uri: str
    parameters: tuple[str, ...]

    def of_disk(self, name: str) -> "Destination":
        return Destination(self.uri.replace(DISK, name), _of_disk(self.parameters, name))


def _of_disk(words: Sequence[str], name: str) -> tuple[str, ...]:
    return tuple(word.replace(DISK, name) for word in words)


class Targets(Protocol):
    """The targets of the disks, where they depend on what the source says of each disk."""

    def prepare(self) -> None:
        """Before the source is started, which reads the states."""

    def target(self, disk: str | None, full: bool) -> Module:
        """disk: None: that of a source with a single one. full: the source shows the whole disk. Throws Failure if there is
        none now."""


@dataclass(frozen=True)
class Replication:
    """A source, the target of its disk or disks, and how a run treats them."""

    source: Module
    target: Module
    also: tuple[Destination, ...]
    state: str  # a file, or a directory if there may be several disks; a directory ends in "/"
    several: bool
    at_once: int = 4  # disks that are copied at the same time
    threads: int | None = None  # nbdkit's -t for the targets
    client: str = CLIENTS[0]  # one of them
    progress: bool = False
    verbose: bool = False
    build: str | None = None  # a build tree whose modules are used
    targets: Targets | None = None  # each disk has a target of these
    only: tuple[str, ...] = ()  # disks; () is all
    source_filters: tuple[str, ...] = ()  # nbdkit's, between the plugin and coalesce
    patience: float = 0.0  # seconds for which a source that has gone away is waited for

    @property
    def pulls(self) -> bool:
        """The targets fetch for themselves."""
        return self.client == "pull"

    @property
    def vm(self) -> str:
        """The last part of the name of the virtual machine; "" for a source of another plugin."""
        vm = value(self.source.parameters, "vm") if is_plugin(self.source.plugin, "vsphere") else None
        return vm.rstrip("/").rpartition("/")[2] if vm else ""

    def disk(self, name: str | None) -> "DiskCopy":
        """The copy of one of several disks; None is the name of a single one."""
        if name is None:
            return DiskCopy(self, None, self.state, self.target, self.also)
        also = tuple(destination.of_disk(name) for destination in self.also)
        return DiskCopy(self, name, resolved(state_path(self.state, name)), self.target.of_disk(name), also)

    def known_disks(self) -> list[str | None]:
        """The disks that an earlier run has made a state for; a single disk in any case."""
        return [*disks_with_state(self.state)] if self.several else [None]


@dataclass(frozen=True)
class DiskCopy:
    """The part of a replication that is about one disk."""

    replication: Replication
    name: str | None
    state: str
    target: Module
    also: tuple[Destination, ...]

    def with_chosen_target(self, full: bool) -> "DiskCopy":
        """full: the source shows the whole disk."""
        if self.replication.targets is None:
            return self
        target = self.replication.targets.target(self.name, full)
        return replace(self, target=target.of_disk(self.name) if self.name is not None else target)

    @property
    def export(self) -> str:
        """The name of the disk's export at the source."""
        return self.name or ""

    @property
    def fanout_state(self) -> str:
        """The directory that says what each destination is owed."""
        return value(self.target.parameters, "fanout-state") or self.default_fanout_state

    @property
    def default_fanout_state(self) -> str:
        return self.state + ".fanout"

    @property
    def image(self) -> str | None:
        return image_file(self.target.parameters)

    def has_state(self) -> bool:
        return os.path.exists(self.state)

    def creates_image(self) -> bool:
        return creates_image(self.target.plugin, self.target.parameters)

    def has_smaller_image(self, size: int) -> bool:
        return is_smaller(self.target.plugin, self.target.parameters, size)

    def continues_image(self) -> bool:
        return continues_image(self.target.parameters)

    def lacks_backing(self) -> bool:
        """Whether this disk has been added after the others: there is no image of an earlier run for backing=."""
        backing = value(self.target.parameters, "backing")
        return (self.replication.several and backing is not None
                and not self.has_state() and not os.path.exists(backing))
