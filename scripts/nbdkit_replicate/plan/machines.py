# SPDX-License-Identifier: BSD-3-Clause
"""The machines and folders of a plan."""
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ..composition.replication import Destination, Module
from ..contract import ASK_PASSWORD, DISK, is_of_one_disk, is_of_one_source, is_plugin
from ..parameters import has
from .document import Table
from .plan import VM, Folder, Keep, Machine, VCenter
from .values import rate

TIME = "{time}"

# What a run itself gives to the target.
_OWN = ("file", "backing", "backing-format", "size", "seal", "state", "create", "apply-from", "apply-state", "apply-digests",
        "apply-digests-parent", "fanout-dest", "fanout-name")


@dataclass(frozen=True)
class Reader:
    """Reads machines; what they do not say themselves is as in `defaults`, in which {vm} is not replaced."""

    directory: str  # of the plan: relative names are relative to it
    vcenters: dict[str, VCenter]
    defaults: Machine
    destination_rate: str | None

    def common(self, table: Table) -> Machine:
        """The keys that the plan has for all machines, and each machine for itself."""
        base = self.defaults
        return replace(
            base,
            target=self._target(table),
            also=self._also(table),
            images=self._images(table),
            states=self._states(table),
            keep=_keep(table, base.keep),
            longest_chain=table.integer("longest-chain", 0, base.longest_chain))

    def _complete(self, table: Table) -> Machine:
        result = self.common(table)
        if not result.images:
            raise table.wrong(None, "images is missing, here or at the head of the plan: the name of an image, such as "
                                    '"/backup/{vm}/{disk}-{time}.qcow2"')
        return result

    def machine(self, table: Table, name: str | None) -> Machine:
        """name: None if the table says it."""
        result = self._complete(table)
        path = table.text("path")
        vcenter_name = table.text("vcenter")
        words = table.texts("source")
        parameters = table.texts("parameters") or ()
        if words is not None:
            for key in ("path", "vcenter", "parameters"):
                if table.has(key):
                    raise table.wrong(key, "cannot be used with source, which names another plugin and its parameters")
            if not words:
                raise table.wrong("source", "must name a plugin, and its parameters")
            if ASK_PASSWORD in words:
                raise table.wrong("source", f"{ASK_PASSWORD}: nobody is there to be asked: use password=+FILE")
            source, vcenter_name = Module(words[0], words[1:]), ""
        elif path is None:
            raise table.wrong(None, "path is missing: the inventory path of the virtual machine, such as /DC0/vm/web1; or "
                                    "source, with another plugin and its parameters")
        else:
            vcenter = self._vcenter(table, vcenter_name)
            source, vcenter_name = vcenter.source(path, parameters), vcenter.name
        if name is None:
            name = table.text("name") or _last_part(path)
            if not name:
                raise table.wrong(None, "name is missing")
        _check_name(table, name)
        result = replace(result, source=source, vcenter=vcenter_name, disks=table.texts("disks") or (),
                         several=(several := _several(table, source)), disk_name=_disk_name(table, several))
        table.finish()
        return result.named(name)

    def folder(self, table: Table) -> Folder:
        template = self._complete(table)
        vcenter = self._vcenter(table, table.text("vcenter"))
        path = table.required_text("path", "the inventory path of the folder, such as /DC0/vm/production")
        parameters = table.texts("parameters") or ()
        folder = Folder(
            vcenter=vcenter.name,
            path="/" + path.strip("/"),
            include=table.texts("include") or (),
            exclude=table.texts("exclude") or (),
            template=replace(template, source=vcenter.source(VM, parameters), vcenter=vcenter.name),
            line=table.document.line(table.key))
        table.finish()
        for place in places(folder.template):
            if VM not in place.value:
                key, name = (place.key, "") if table.has(place.key) else (None, place.key + " ")
                raise table.wrong(key, f"{name}must have {VM} in it, which stands for the name of each machine: {place.value}")
        return folder

    def _vcenter(self, table: Table, name: str | None) -> VCenter:
        if name is None:
            if len(self.vcenters) != 1:
                raise table.wrong(None, "vcenter is missing: " + ("one of " + ", ".join(self.vcenters) if self.vcenters
                                                                  else "the plan has no [vcenter.NAME]"))
            return next(iter(self.vcenters.values()))
        if name not in self.vcenters:
            raise table.wrong("vcenter", f"the plan has no [vcenter.{name}]")
        return self.vcenters[name]

    def _target(self, table: Table) -> Module:
        words = table.texts("target-parameters")
        for number, word in enumerate(words or ()):
            key = word.partition("=")[0]
            if "=" not in word or key in _OWN:
                why = "is given by the run itself" if "=" in word else "must be KEY=VALUE"
                raise table.document.wrong((*table.key, "target-parameters", number), f"{word}: {why}")
        return self.defaults.target if words is None else Module("qcow2", words)

    def _also(self, table: Table) -> tuple[Destination, ...]:
        if not table.has("also"):
            table.get("also", list, "")
            return self.defaults.also
        result = tuple(self._destination(one) for one in table.tables("also"))
        return result

    def _destination(self, table: Table) -> Destination:
        uri = table.required_text("uri", "the URI of an NBD server, such as nbds://dr.example.com/{vm}-{disk}")
        if DISK not in uri:
            raise table.wrong("uri", f"must have {DISK} in it, which stands for the name of each disk: {uri}")
        parameters = list(table.texts("parameters") or ())
        name, own_rate = table.text("name"), rate(table, "rate") or self.destination_rate
        parameters += [f"fanout-name={name}"] if name else []
        parameters += [f"fanout-rate={own_rate}"] if own_rate and not has(parameters, "fanout-rate") else []
        table.finish()
        return Destination(uri, tuple(parameters))

    def _images(self, table: Table) -> str:
        text = table.text("images")
        if text is None:
            return self.defaults.images
        for word in (DISK, TIME):
            if word not in text:
                raise table.wrong("images", f"must have {word} in it: {text}")
        if TIME in os.path.dirname(text):
            raise table.wrong("images", f"must have {TIME} in the name of the file, not in that of a directory: images lie beside "
                              f"those that they are made over: {text}")
        return os.path.join(self.directory, text)

    def _states(self, table: Table) -> str:
        text = table.text("states")
        return self.defaults.states if text is None else os.path.join(self.directory, text, "")


@dataclass(frozen=True)
class Place:
    """What a machine writes to, and no other machine may."""

    key: str  # of the plan
    what: str  # two machines would do with it
    value: str


def places(machine: Machine) -> Iterator[Place]:
    yield Place("states", "would have the states", machine.states)
    yield Place("images", "would have the images", machine.images)
    yield from (Place("also", "would be written to", one.uri) for one in machine.also)
    for key, words in (("parameters", filter(is_of_one_source, machine.source.parameters)),
                       ("target-parameters", filter(is_of_one_disk, machine.target.parameters)),
                       ("also", (word for one in machine.also for word in filter(is_of_one_disk, one.parameters)))):
        yield from (Place(key, "would have the same", word) for word in words)


class Known:
    """Machines, no two of which have a name or a place in common."""

    def __init__(self) -> None:
        self.names: dict[str, Machine] = {}
        self._places: dict[str, Machine] = {}

    def add(self, machine: Machine) -> tuple[str, str] | None:
        """If there is something in common: its key of the plan, and a message."""
        if self.names.setdefault(machine.name, machine) is not machine:
            return "name", f"two machines are called {machine.name}"
        for place in places(machine):
            other = self._places.setdefault(place.value, machine)
            if other is not machine:
                return place.key, (f"{other.name} and {machine.name} {place.what} {place.value}: put {VM} into it, which stands "
                                   "for the name of each machine")
        return None


def check_unique(machines: Iterable[tuple[Table, Machine]]) -> None:
    known = Known()
    for table, machine in machines:
        if (common := known.add(machine)) is not None:
            key, message = common
            raise table.wrong(key if table.has(key) else None, message)


def _keep(table: Table, default: Keep) -> Keep:
    keep = table.table("keep")
    counts = {key: keep.integer(key, 0, 0) for key in ("last", "daily", "weekly", "monthly")}
    keep.finish()
    return Keep(**counts) if table.has("keep") else default


def _several(table: Table, source: Module) -> bool:
    """Whether the source lists its disks; those of most plugins have one, which has no name."""
    listing = is_plugin(source.plugin, "vsphere") or is_plugin(source.plugin, "file") and has(source.parameters, "dir")
    several = table.boolean("several-disks", listing)
    if not several and table.has("disks"):
        raise table.wrong("disks", "cannot be used with a source of a single disk; if it lists its disks, add "
                          "several-disks = true")
    return several


def _disk_name(table: Table, several: bool) -> str | None:
    name = table.text("disk-name")
    if name is not None and several:
        raise table.wrong("disk-name", "is for a source of a single disk; this one lists its disks")
    if name is not None and not is_name(name):
        raise table.wrong("disk-name", f'"{name}" cannot be part of a file name')
    return name


def _check_name(table: Table, name: str) -> None:
    if not is_name(name):
        raise table.wrong("name" if table.has("name") else None,
                          f'"{name}" cannot be part of a file name: it must not begin with a dot nor have "/" or "{{" in it')


def is_name(name: str) -> bool:
    """Whether it can be put in place of {vm} or {disk}."""
    return bool(name) and name[0] != "." and not any(one in name for one in "/{\n\0")


def _last_part(path: str | None) -> str:
    return (path or "").rstrip("/").rpartition("/")[2]
