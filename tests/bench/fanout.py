# SPDX-License-Identifier: BSD-3-Clause
#
# fanout: what further destinations cost, when each has its own bandwidth and when the processor is what
# they share; what a slow one costs the primary; and how long it takes until all are served, two at a time.
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
    """The server, not yet started; destinations: (server, parameters of its own...)."""
    arguments = []
    for i, (server, *own) in enumerate(destinations):
        arguments += [f"fanout-dest={server.uri()}", f"fanout-name=d{i}", *own]
    return Server(f"--filter={FANOUT}", *primary, *parameters, *arguments)


def limited_server(size, rate):
    """With the same patience for bursts as fanout-rate has: a quarter of a second."""
    return Server("--filter=rate", "memory", size, f"rate={rate * 8}", "burstiness=0.25")


def copy_time(source, server, until_all=False):
    """Seconds until the client has ended; until_all: until the server has, with all that is owed."""
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
    """All at once, each through the same bandwidth."""
    with memories(number, size) as servers:
        return copy_time(source, fanout(("memory", size), [(s, f"fanout-rate={LIMIT}") for s in servers]), True)


def one_by_one(source, size, number):
    """What one would do without: a copy to each, one after the other; the servers limit the bandwidth."""
    total = 0
    for _ in range(number):
        total += copy_time(source, limited_server(size, LIMIT))
    return total


def unlimited(source, directory, number):
    """Files in memory, which are there already: it is copying that is measured, not page faults."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server("file", directory / f"copy{i}")) for i in range(number)]
        return copy_time(source, fanout(("file", directory / "primary"), [(s,) for s in servers]))


def with_async(source, primary, destination, rate):
    """How long the client waits; what is owed then does not count."""
    return copy_time(source, fanout(primary, [(destination, "fanout-mode=async", f"fanout-rate={rate}")],
                                    "fanout-drain-timeout=0.1"))


def alone(source, primary):
    return copy_time(source, Server(*primary))


def served(source, size, active, unit):
    """Until all have it: three destinations that need 8, 5 and 2 units of time, `active` at once."""
    with memories(3, size) as servers:
        own = [(s, "fanout-mode=async", f"fanout-rate={int(size / (units * unit))}")
               for s, units in zip(servers, (8, 5, 2))]
        return copy_time(source, fanout(("memory", size), own, f"fanout-active={active}"), True)


def in_pairs(source, size, unit):
    """What one would do without: two copies side by side, and the third when both are done."""
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

        # With storage that sets the pace, and then with nothing but the processor, which the primary alone
        # keeps busy, and the destination's server shares. Its memory is there already; the copy is long
        # enough that the quarter of a second that may go out at once is of no weight.
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
