# SPDX-License-Identifier: BSD-3-Clause
"""The command lines of a run, without the options that tell a server where to listen."""
import enum
import os
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass

from ..contract import apply_parameters, destination_name, module, pull_parameters, source_parameters, use_parameters
from ..images import BACKING, image_parameters, image_size
from ..parameters import add_default, has, value
from ..tls import added_parameters
from .replication import DiskCopy, Module, Replication


def uri_of(socket: str, export: str = "") -> str:
    return f"nbd+unix:///{urllib.parse.quote(export)}?socket={urllib.parse.quote(socket)}"


@dataclass(frozen=True)
class Circumstances:
    """What a target's parameters depend on and only a run knows. The words may be a shell's, see shell.py."""

    size: str | None  # of the image that the target creates or enlarges; None: it does neither
    fanout_new: str | None  # a parameter for destinations that are added; None: they equal the primary
    lacks_backing: bool

    @classmethod
    def of(cls, disk: DiskCopy, size: int) -> "Circumstances":
        """As things are now. size: of the disk."""
        return cls(
            size=str(image_size(size)) if disk.creates_image() or disk.has_smaller_image(size) else None,
            # A destination that is added later has none of what earlier runs have copied.
            fanout_new="fanout-new=owed" if disk.has_state() else None,
            lacks_backing=disk.lacks_backing())


# Of each of pull's connections. Each thread of nbdkit keeps a buffer of the largest request that it has served, and pull's are
# four times those of other clients; they are as many together as pull has under way.
THREADS_FOR_PULL = "8"


def source_statistics(replication: Replication, default: str) -> str:
    """The file for coalesce's counters, unless the user has named one."""
    return value(replication.source.parameters, "coalesce-stats") or default


def source_command(replication: Replication, stats: str | None = None, for_pull: bool = False) -> list[str]:
    """stats: see source_statistics(). for_pull: for servers of use_command()."""
    plugin = replication.source.plugin
    own = replication.source.parameters
    parameters = [*source_parameters(plugin, own, replication.state, for_pull), *added_parameters(plugin, own)]
    if stats:
        add_default(parameters, "coalesce-stats", stats)
    filters = [*_reading_filters(parameters), *replication.source_filters]
    threads = ["-t", THREADS_FOR_PULL] if replication.pulls else []
    return ["nbdkit", *threads, *_nbdkit(replication, filters, Module(plugin, tuple(parameters)))]


def _reading_filters(parameters: Sequence[str]) -> list[str]:
    """coalesce goes by the extents of the layer below it. With a map from elsewhere only delta knows what has changed: below
    it the plugin's extents would have coalesce read ahead what nobody copies."""
    return ["coalesce", "delta"] if has(parameters, "delta-map") else ["delta", "coalesce"]


@dataclass(frozen=True)
class StatisticsFiles:
    """Of a target's filters. Need not exist (yet)."""

    apply: str
    fanout: str
    pull: str

    @classmethod
    def in_directory(cls, disk: DiskCopy, prefix: str) -> "StatisticsFiles":
        """Files whose names begin with that path, unless the user has named others."""
        own = disk.target.parameters
        return cls(*(value(own, f"{name}-stats") or prefix + name for name in ("apply", "fanout", "pull")))


def _image_parameters(disk: DiskCopy, now: Circumstances) -> list[str]:
    parameters = image_parameters(disk.target.plugin, disk.target.parameters, disk.state)
    if now.lacks_backing:
        parameters = [p for p in parameters if not p.startswith(BACKING)]
    if now.size is not None:
        add_default(parameters, "size", now.size)
    return [*parameters, *added_parameters(disk.target.plugin, parameters)]


def target_command(disk: DiskCopy, source_uri: str, now: Circumstances, stats: StatisticsFiles | None = None) -> list[str]:
    parameters = _image_parameters(disk, now)
    parameters += apply_parameters(source_uri, disk.state)
    if stats:
        add_default(parameters, "apply-stats", stats.apply)
    filters = ["apply"]
    if disk.also:
        filters.append("fanout")
        parameters = _with_fanout(disk, parameters, now, stats.fanout if stats else None)
    replication = disk.replication
    if replication.pulls:
        filters.insert(0, "pull")
        for key, default in pull_parameters(source_uri, replication.threads):
            add_default(parameters, key, default)
        if stats:
            add_default(parameters, "pull-stats", stats.pull)
    return ["nbdkit", *_threads(replication), *_nbdkit(replication, filters, Module(disk.target.plugin, tuple(parameters)))]


class Access(enum.Enum):
    """What clients may do with a disk that is used."""

    READ = "read"
    WRITE = "write"  # then it is a replica no more
    SCRATCH = "scratch"  # write, into a temporary file that is gone at the end


def use_command(disk: DiskCopy, source_uri: str, now: Circumstances, access: Access, stats: StatisticsFiles) -> list[str]:
    """A server that clients use while the rest of the disk is fetched."""
    replication = disk.replication
    parameters = [p for p in _image_parameters(disk, now) if not p.startswith("apply-")]
    filters = ["pull"]
    if disk.also:
        filters.append("fanout")
        parameters = _with_fanout(disk, parameters, now, stats.fanout)
    for key, default in (*use_parameters(source_uri, disk.state, replication.patience), ("pull-stats", stats.pull)):
        add_default(parameters, key, default)
    scratch = ["--filter=cow"] if access == Access.SCRATCH else []
    return ["nbdkit", *(["-r"] if access == Access.READ else []), *_threads(replication), *scratch,
            *_nbdkit(replication, filters, Module(disk.target.plugin, tuple(parameters)))]


def _threads(replication: Replication) -> list[str]:
    return ["-t", str(replication.threads)] if replication.threads else []


def client_command(client: str, source_uri: str, target_uri: str, progress: bool = False) -> list[str]:
    """Of a client that is a program. It flushes at its end."""
    if client == "qemu-img":
        # Without -t the target would not be flushed; -W: in the order in which the requests are answered.
        return ["qemu-img", "convert", *(["-p"] if progress else []), "-n", "-W", "-t", "writeback", "-f", "raw", "-O", "raw",
                source_uri, target_uri]
    return ["nbdcopy", "--flush", f"--requests={_requests()}", *(["--progress"] if progress else []), source_uri, target_uri]


def _requests() -> int:
    """Of a connection that nbdcopy has under way. It makes one connection for each processor, up to four, and each request
    holds 256 KiB: so it holds 16 MiB, and not four times that. nbdkit handles 16 of a connection at the same time."""
    return 64 // min(max(os.cpu_count() or 1, 1), 4)


def _with_fanout(disk: DiskCopy, parameters: list[str], now: Circumstances, stats: str | None) -> list[str]:
    """What is for all destinations, then what is for each: fanout-dest= begins the parameters of one.

    One that is away, full or broken does not keep the others from being written: what it is owed is in fanout-state.
    """
    result = list(parameters)
    add_default(result, "fanout-on-error", "detach")
    add_default(result, "fanout-state", disk.fanout_state)
    if now.fanout_new and not has(result, "fanout-new"):
        result.append(now.fanout_new)
    if stats:
        add_default(result, "fanout-stats", stats)
    for destination in disk.also:
        own = list(destination.parameters)
        add_default(own, "fanout-name", destination_name(destination.uri, own))
        result += [f"fanout-dest={destination.uri}", *own]
    return result


def _nbdkit(replication: Replication, filters: list[str], plugin: Module) -> list[str]:
    build = replication.build
    return [
        *(["-v"] if replication.verbose else []),
        *(f"--filter={module('filter', name, build)}" for name in filters),
        module("plugin", plugin.plugin, build),
        *plugin.parameters,
    ]
