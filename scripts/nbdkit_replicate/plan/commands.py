# SPDX-License-Identifier: BSD-3-Clause
"""The command lines of the programs, without what tells the servers where to listen."""
import os
import urllib.parse

from ..parameters import add_default, creates_image, destination_name, has, value

DISK = "{disk}"  # in a parameter of a destination: the name of the disk


def uri_of(socket, export=""):
    return f"nbd+unix:///{urllib.parse.quote(export)}?socket={socket}"


class Job:
    """What the command line asks for."""

    def __init__(self, given):
        self.given = given
        # A directory of states is for all the disks of the source; else there is one disk.
        self.several = given.state.endswith("/") or os.path.isdir(given.state)
        self.state = os.path.join(given.state, "") if self.several else given.state
        self.progress = given.progress
        self.at_once = given.at_once

    def copy(self, disk=None):
        return Copy(self, disk)

    def disks_with_state(self):
        """Those that an earlier run knew; None is the only one."""
        if not self.several:
            return [None]
        files = sorted(os.listdir(self.state)) if os.path.isdir(self.state) else []
        return [file.removesuffix(".state") for file in files if file.endswith(".state")]

    def source(self):
        plugin, *parameters = self.given.source
        if plugin == "vsphere":
            add_default(parameters, "since", f"@{self.state}")
        parameters.append(f"delta-owed={self.state}")
        return ["nbdkit", *self.nbdkit(["delta", "coalesce"], plugin, parameters)]

    def nbdkit(self, filters, plugin, parameters):
        filters = [f"--filter={self.module('filter', name)}" for name in filters]
        verbose = ["-v"] if self.given.verbose else []
        return [*verbose, *filters, self.module("plugin", plugin), *parameters]

    def module(self, kind, name):
        """The path of a module in a build tree that is not installed; else its name, for nbdkit to find."""
        build = self.given.build
        path = os.path.join(build or "", f"{kind}s", name, f"nbdkit-{name}-{kind}.so")
        return os.path.abspath(path) if build and os.path.exists(path) else name


class Copy:
    """The copy of one disk: its state, its destinations, and the client that feeds them."""

    def __init__(self, job, disk):
        def named(words):
            return [word.replace(DISK, disk) for word in words] if job.several else list(words)

        self.job = job
        self.disk = disk
        self.export = disk or ""
        self.state = f"{job.state}{disk}.state" if job.several else job.state
        self.plugin, *self.parameters = named(job.given.target)
        self.also = [named(words) for words in job.given.also]

    def creates_image(self):
        return creates_image(self.plugin, self.parameters)

    def fanout_new(self):
        """What a destination that is added to a replication is owed."""
        # An increment is not enough for one that has not had the rest.
        return ["fanout-new=owed"] if os.path.exists(self.state) else []

    def target(self, source_uri, size, stats=None):
        """size: in bytes, or the text of a command that prints it. stats: a file for fanout's counters."""
        parameters = self.without_missing_backing()
        if self.creates_image():
            add_default(parameters, "size", size)
        parameters += [f"apply-from={source_uri}", f"apply-state={self.state}"]
        filters = ["apply"]
        if self.also:
            filters.append("fanout")
            add_default(parameters, "fanout-state", self.fanout_directory())
            if not has(parameters, "fanout-new"):
                parameters += self.fanout_new()
            if stats:
                add_default(parameters, "fanout-stats", stats)
        for uri, *options in self.also:
            add_default(options, "fanout-name", destination_name(uri, options))
            parameters += [f"fanout-dest={uri}", *options]
        threads = ["-t", str(self.job.given.threads)] if self.job.given.threads else []
        return ["nbdkit", *threads, *self.job.nbdkit(filters, self.plugin, parameters)]

    def without_missing_backing(self):
        """A disk that comes later than the others has no image of an earlier run. It is copied whole."""
        backing = value(self.parameters, "backing")
        late = self.job.several and backing is not None and not (os.path.exists(self.state) or os.path.exists(backing))
        return [p for p in self.parameters if not (late and p.startswith(("backing=", "backing-format=")))]

    def fanout_directory(self):
        return value(self.parameters, "fanout-state") or self.state + ".fanout"

    def client(self, source_uri, target_uri, progress=None):
        """progress: an option of nbdcopy."""
        return ["nbdcopy", "--flush", *([progress] if progress else []), source_uri, target_uri]
