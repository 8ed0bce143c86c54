# SPDX-License-Identifier: BSD-3-Clause
"""Reads a plan: nbdkit-replicate.plan(5)."""
import datetime
import os

from ..composition.replication import Module
from ..contract import CLIENTS, LONGEST
from .document import Document, Table
from .machines import Reader, check_unique
from .plan import VM, Hooks, Limits, Machine, Plan, VCenter
from .values import choice, duration, rate, window

# Where plans are looked for that are named without a directory and are not in the current one.
PLANS = "/etc/nbdkit-replicate"
STATES = "/var/lib/nbdkit-replicate"


def read_plan(path: str, build: str | None = None) -> Plan:
    """Throws WrongUse, with file, line and key, if it is no plan. Asks no vCenter: folders are not looked into."""
    path = find_plan(path)
    document = Document.read(path)
    root = document.root()
    directory = os.path.dirname(os.path.abspath(path))
    limits = _limits(root)
    vcenters = {name: _vcenter(table, name, directory) for name, table in root.named("vcenter").items()}
    first = Machine(
        name=VM, source=Module("", ()), target=Module("qcow2", ()), also=(), images="", states=os.path.join(STATES, VM, ""))
    defaults = Reader(directory, vcenters, first, limits.destination_rate).common(root)
    reader = Reader(directory, vcenters, defaults, limits.destination_rate)
    machines = [(table, reader.machine(table, name)) for table, name in _machine_tables(root)]
    folders = tuple(reader.folder(table) for table in root.tables("folder"))
    check_unique(machines)
    default = Plan(path, ())
    plan = Plan(
        path=os.path.abspath(path),
        machines=tuple(machine for _, machine in machines),
        folders=folders,
        vcenters=tuple(vcenters.values()),
        limits=limits,
        window=window(root, "window"),
        hooks=_hooks(root),
        metrics=_file(root, "metrics", directory),
        stale_after=duration(root, "stale-after", default.stale_after),
        critical_after=duration(root, "critical-after", default.critical_after),
        reconnect_for=duration(root, "reconnect-for", default.reconnect_for),
        threads=root.optional_integer("threads", 1),
        client=choice(root, "client", CLIENTS),
        build=build)
    root.finish()
    if not machines and not folders:
        raise root.wrong(None, "the plan names no machine: add [[vm]] or [[folder]]")
    if plan.critical_after < plan.stale_after:
        raise root.wrong("critical-after", "must not be less than stale-after")
    if plan.reconnect_for.total_seconds() > LONGEST:
        raise root.wrong("reconnect-for", "must not be longer than 1d")
    return plan


def find_plan(name: str) -> str:
    """A file; or the name of one, with or without .toml, in the directory of plans."""
    if os.path.exists(name) or "/" in name:
        return name
    for candidate in (os.path.join(PLANS, name), os.path.join(PLANS, name + ".toml")):
        if os.path.exists(candidate):
            return candidate
    return name


def _machine_tables(root: Table) -> list[tuple[Table, str | None]]:
    """[[vm]], or [vm.NAME]."""
    if isinstance(root.get("vm", (list, dict), "an array of tables, or tables [vm.NAME]"), dict):
        return [(table, name) for name, table in root.named("vm").items()]
    return [(table, None) for table in root.tables("vm")]


def _vcenter(table: Table, name: str, directory: str) -> VCenter:
    server = table.required_text("server", "the vCenter Server or ESXi host")
    user = table.required_text("user", "the name to log in with")
    password = table.required_text("password-file", "the file with the password in its first line")
    result = VCenter(
        name=name, server=server, user=user, password_file=os.path.join(directory, password),
        cafile=_file(table, "cafile", directory), thumbprint=table.text("thumbprint"),
        insecure=table.boolean("insecure", False), parameters=table.texts("parameters") or ())
    table.finish()
    given = [key for key in ("cafile", "thumbprint", "insecure") if table.has(key)]
    if len(given) > 1:
        raise table.wrong(given[1], f"cannot be used with {given[0]}")
    return result


def _limits(root: Table) -> Limits:
    table, default = root.table("limits"), Limits()
    limits = Limits(
        machines=table.optional_integer("machines", 1),
        disks=table.integer("disks", 1, default.disks),
        per_vcenter=table.optional_integer("per-vcenter", 1),
        per_host=table.optional_integer("per-host", 1),
        source_rate=rate(table, "source-rate"),
        destination_rate=rate(table, "destination-rate"))
    table.finish()
    return limits


def _hooks(root: Table) -> Hooks:
    table, default = root.table("hooks"), Hooks()
    deadline = duration(table, "deadline", datetime.timedelta(seconds=default.deadline))
    hooks = Hooks(
        before=table.texts("before") or (), after=table.texts("after") or (), failure=table.texts("failure") or (),
        deadline=deadline.total_seconds())
    table.finish()
    if hooks.deadline <= 0:
        raise table.wrong("deadline", "must be longer than that")
    return hooks


def _file(table: Table, key: str, directory: str) -> str | None:
    text = table.text(key)
    return None if text is None else os.path.join(directory, text)
