# SPDX-License-Identifier: BSD-3-Clause
"""The values that a plan comes to, with all defaults filled in."""
import datetime
import os
from dataclasses import dataclass, field, replace

from ..composition.replication import Destination, Module
from ..contract import CLIENTS


@dataclass(frozen=True)
class Keep:
    """Which restore points of a disk are kept. If all are 0, all points are."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    @property
    def everything(self) -> bool:
        return not (self.last or self.daily or self.weekly or self.monthly)


@dataclass(frozen=True)
class Limits:
    """Of what goes on at the same time. None: no limit. Rates are bytes a second, such as 20M."""

    machines: int | None = None  # in all; None: 4, in each process
    disks: int = 4  # of each machine
    per_vcenter: int | None = None  # disks
    per_host: int | None = None  # disks; the host is the ESXi host that runs the machine
    source_rate: str | None = None  # of each machine
    destination_rate: str | None = None  # of each further destination


@dataclass(frozen=True)
class Window:
    """The time of the day after whose end no new machine or disk is begun. It may cross midnight. Local time."""

    begin: datetime.time
    end: datetime.time


@dataclass(frozen=True)
class Hooks:
    """Programs with their arguments; () is none. Each gets the run's JSON on its standard input."""

    before: tuple[str, ...] = ()  # of each machine, before its snapshot; a failure is told and does not hurt the copy
    after: tuple[str, ...] = ()  # of each machine that is done
    failure: tuple[str, ...] = ()  # of each machine that is not
    deadline: float = 60.0  # seconds; after that it is killed


NAMELESS = "disk"  # a disk that neither its source nor the plan names
VM = "{vm}"  # in a plan: the name of the machine


@dataclass(frozen=True)
class VCenter:
    """A [vcenter.NAME] of the plan, or an ESXi host."""

    name: str
    server: str  # HOST or HOST:PORT
    user: str
    password_file: str  # absolute
    cafile: str | None = None  # absolute
    thumbprint: str | None = None
    insecure: bool = False
    parameters: tuple[str, ...] = ()  # of the plugin and the filters

    def source(self, path: str, parameters: tuple[str, ...]) -> Module:
        """The source of the virtual machine with this inventory path, or another value of vm=."""
        words = [f"server={self.server}", f"user={self.user}", f"password=+{self.password_file}"]
        words += [f"cafile={self.cafile}"] if self.cafile else []
        words += [f"thumbprint={self.thumbprint}"] if self.thumbprint else []
        words += ["insecure=yes"] if self.insecure else []
        return Module("vsphere", (*words, f"vm={path}", *self.parameters, *parameters))


@dataclass(frozen=True)
class Machine:
    """What is replicated as of one instant: the disks of one source server, usually of a virtual machine."""

    name: str  # {vm}: as the user calls it; unique in the plan, without "/"
    source: Module
    target: Module  # without file=, backing= and size=, which the restore points decide
    also: tuple[Destination, ...]  # with {disk} in them
    images: str  # the name of an image, with {disk} and {time}; {vm} is replaced. An absolute path
    states: str  # the directory of the states, absolute, ends in "/"; DISK.state are in it, and records of runs
    disks: tuple[str, ...] = ()  # only these; () is all
    keep: Keep = Keep()
    longest_chain: int = 30  # images; the next point is a full one. 0: no limit
    vcenter: str = ""  # the name of its [vcenter.NAME]; "" for a source of another plugin
    several: bool = True  # the source lists its disks, as vsphere does; False: it has one, without a name
    disk_name: str | None = None  # of that one; None: NAMELESS

    @property
    def single_disk(self) -> str:
        """The name of the disk of a source that does not name it."""
        return self.disk_name or NAMELESS

    def named(self, name: str) -> "Machine":
        """With the name in place of {vm}."""
        def words(these: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(word.replace(VM, name) for word in these)

        return replace(
            self, name=name,
            source=Module(self.source.plugin, words(self.source.parameters)),
            target=Module(self.target.plugin, words(self.target.parameters)),
            also=tuple(Destination(one.uri.replace(VM, name), words(one.parameters)) for one in self.also),
            images=self.images.replace(VM, name),
            states=self.states.replace(VM, name))


@dataclass(frozen=True)
class Folder:
    """Virtual machines in a folder of a vCenter's inventory."""

    vcenter: str
    path: str  # /Datacenter/vm/Folder; the folders in it belong to it
    include: tuple[str, ...]  # patterns of names, as in a shell; () is all
    exclude: tuple[str, ...]
    template: Machine  # {vm} stands for the name in it; its source is without vm=
    line: int  # of the plan, for messages


@dataclass(frozen=True)
class Plan:
    path: str
    machines: tuple[Machine, ...]  # those in folders are not in it yet: plan/folders
    folders: tuple[Folder, ...] = ()
    vcenters: tuple[VCenter, ...] = ()
    limits: Limits = Limits()
    window: Window | None = None
    hooks: Hooks = Hooks()
    metrics: str | None = None  # a file for node_exporter's textfile collector
    stale_after: datetime.timedelta = datetime.timedelta(hours=26)  # of the last complete point: status is a warning
    critical_after: datetime.timedelta = datetime.timedelta(hours=50)
    reconnect_for: datetime.timedelta = datetime.timedelta(minutes=30)
    threads: int | None = None
    client: str = CLIENTS[0]  # one of them
    build: str | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """As the label of metrics: the file's, without .toml."""
        return os.path.basename(self.path).removesuffix(".toml")
