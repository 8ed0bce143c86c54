# SPDX-License-Identifier: BSD-3-Clause
#
# The fanout filter: the cost of further destinations, with limited bandwidths and with only the
# processor as the limit; the cost of a slow destination; and the time until all destinations are
# complete, two at a time.
import contextlib
import os
import shutil
import subprocess

from bench import Directory, Server, Table, module, random_file, run, seconds

FANOUT = module("filter", "fanout")
COPY = ("nbdcopy", "--flush", "--no-extents", "--sparse=0", "--request-size=262144")
M = 1 << 20
LIMIT = 40 * M  # bytes a second

table = Table("fanout")


def fanout(primary, destinations, *parameters):
    """The server, not yet started. destinations: a list of (server, its parameters...)."""
    arguments = []
    for i, (server, *own) in enumerate(destinations):
        arguments += [f"fanout-dest={server.uri()}", f"fanout-name=d{i}", *own]
    return Server(f"--filter={FANOUT}", *primary, *parameters, *arguments)


def limited_server(size, rate):
    """Bursts may have a quarter of a second, as with fanout-rate."""
    return Server("--filter=rate", "memory", size, f"rate={rate * 8}", "burstiness=0.25")


def copy_time(source, server, until_all=False):
    """Seconds until the client ends; until_all: until the server ends, when nothing is owed."""
    def work():
        run(*COPY, "--", source, server.uri())
        if until_all:
            server.stop()
    with server:
        return seconds(work)


@contextlib.contextmanager
def memories(number, size):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Server("memory", size)) for _ in range(number)]


def limited(source, size, number):
    """All destinations at the same time, each with the same bandwidth."""
    with memories(number, size) as servers:
        return copy_time(source, fanout(("memory", size), [(s, f"fanout-rate={LIMIT}") for s in servers]), True)


def one_by_one(source, size, number):
    """Without the filter: a copy to each, one after the other. The servers limit the bandwidth."""
    total = 0
    for _ in range(number):
        total += copy_time(source, limited_server(size, LIMIT))
    return total


def unlimited(source, directory, number):
    """To files in memory that exist already, so that page faults are not measured."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server("file", directory / f"copy{i}")) for i in range(number)]
        return copy_time(source, fanout(("file", directory / "primary"), [(s,) for s in servers]))


def with_async(source, primary, destination, rate):
    """Seconds until the client ends. What is owed then does not count."""
    return copy_time(source, fanout(primary, [(destination, "fanout-mode=async", f"fanout-rate={rate}")],
                                    "fanout-drain-timeout=0.1"))


def alone(source, primary):
    return copy_time(source, Server(*primary))


def served(source, size, active, unit):
    """Seconds until three destinations that need 8, 5 and 2 units of time are complete, `active` at
    a time."""
    with memories(3, size) as servers:
        own = [(s, "fanout-mode=async", f"fanout-rate={int(size / (units * unit))}")
               for s, units in zip(servers, (8, 5, 2))]
        return copy_time(source, fanout(("memory", size), own, f"fanout-active={active}"), True)


def in_pairs(source, size, unit):
    """Without the filter: two copies at the same time, and then the third."""
    def copies(*units):
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(limited_server(size, int(size / (u * unit)))) for u in units]
            started = [subprocess.Popen([*COPY, "--", source, s.uri()]) for s in servers]
            if any([p.wait() for p in started]):
                raise SystemExit("a copy failed")
    return seconds(copies, 8, 5) + seconds(copies, 2)


def main():
    with Directory() as d:
        size = 128 * M
        source = d / "source"
        random_file(source, size)
        table.compare("3 destinations of 40 MiB/s each", "1 destination of 40 MiB/s", lambda: limited(source, size, 3),
                      lambda: limited(source, size, 1), at_most=1.10)
        table.compare("3 destinations of 40 MiB/s each", "nbdcopy to each, one after the other",
                      lambda: limited(source, size, 3), lambda: one_by_one(source, size, 3), at_most=0.40)

        unit = 0.5  # seconds
        table.compare("8 + 5 + 2 units of time, fanout-active=2 (8)", "fanout-active=serial (15)",
                      lambda: served(source, size, 2, unit), lambda: served(source, size, "serial", unit),
                      at_most=8 / 15 * 1.1)
        table.compare("8 + 5 + 2 units of time, fanout-active=2 (8)", "two copies, then the third (10)",
                      lambda: served(source, size, 2, unit), lambda: in_pairs(source, size, unit),
                      at_most=8 / 10 * 1.1)

        size = 1024 * M
        random_file(source, size)
        for name in ("primary", "copy0", "copy1", "copy2"):
            shutil.copy(source, d / name)
        table.compare("3 destinations in memory, no limit", "1 destination", lambda: unlimited(source, d, 3),
                      lambda: unlimited(source, d, 1), at_most=2.2)

        # First the storage is the limit, then the processor, which the primary keeps busy and the
        # destination's server shares. The server's memory is allocated before, and the copy is so long
        # that the burst of a quarter of a second does not matter.
        for name in ("copy0", "copy1", "copy2"):
            os.unlink(d / name)
        with memories(1, size) as (destination,):
            run(*COPY, "--", source, destination.uri())
            limited_file = ("--filter=rate", "file", d / "primary", f"rate={10 * LIMIT * 8}", "burstiness=0.25")
            table.compare("storage of 400 MiB/s, and one async destination of 40 MiB/s", "the storage alone",
                          lambda: with_async(source, limited_file, destination, LIMIT),
                          lambda: alone(source, limited_file), at_most=1.10)

        size = 3072 * M
        random_file(source, size)
        shutil.copy(source, d / "primary")
        file = ("file", d / "primary")
        rate = int(size / min(alone(source, file) for _ in range(3)) / 10)
        with memories(1, size) as (destination,):
            run(*COPY, "--", source, destination.uri())
            table.compare(f"file in memory, and one async destination 10 x slower ({rate // M} MiB/s)",
                          "the file alone", lambda: with_async(source, file, destination, rate),
                          lambda: alone(source, file))
    table.end()


main()
