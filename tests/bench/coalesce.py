# SPDX-License-Identifier: BSD-3-Clause
#
# The coalesce filter over slow disks, compared with no filter and with nbdkit's readahead and cache
# filters.
import os

from bench import Directory, Server, Table, module, random_file, run, seconds

COALESCE = f"--filter={module('filter', 'coalesce')}"
K, M = 1 << 10, 1 << 20
MEMORY = 64 * M


def sparse_file(path, size, piece):
    """Data and holes in turn, `piece` bytes each."""
    random_file(path, size // 2)
    os.rename(path, path + ".data")
    with open(path + ".data", "rb") as data, open(path, "wb") as out:
        out.truncate(size)
        for at in range(0, size, 2 * piece):
            out.seek(at)
            out.write(data.read(piece))
    os.unlink(path + ".data")


def ragged_file(path, size):
    """64 KiB of data and a hole in turn; the holes have random lengths, 64 KiB on average."""
    import random
    r = random.Random(7)
    with open(path, "wb") as out:
        out.truncate(size)
        at = 0
        while at + 64 * K < size:
            out.seek(at)
            out.write(r.randbytes(64 * K))
            at += 64 * K + r.randrange(1, 33) * 4 * K


def delayed(disk, delay):
    return ["--filter=delay", "file", disk, f"rdelay={delay}"]


# One request at a time on each connection; each takes 2 ms, and then 140 MB/s.
def vddk_like(disk):
    return ["cc", os.path.join(os.path.dirname(__file__), "vddk_like.c"), f"file={disk}"]


def allowed_by_source(extent):
    """MB/s of data that the source of vddk_like() can give over four connections, at best: whether the holes, which are as
    large as the extents, are read with them in requests of 4 MiB, or not."""
    def four(request):
        return 4 * request / (0.002 + request / 140e6) / 1e6
    return max(four(4 * M) / 2, four(extent))


def measured(filters, source, client):
    """A function that runs the client against a new server and returns the seconds."""
    def once():
        with Server("-r", *filters, *source) as server:
            return seconds(client, server.uri())
    return once


def nbdcopy(*options):
    return lambda uri: run("nbdcopy", *options, uri, "null:")


def qemu_img(uri):
    # To the null plugin, so that only reading is measured.
    with Server("null", f"size={LONG}") as sink:
        run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", uri, sink.uri())


def fio(uri):
    run("fio", "--name=r", "--ioengine=nbd", f"--uri={uri}", "--rw=randread", "--bs=4k", "--iodepth=16",
        "--size=256m", "--io_size=128m", "--randrepeat=1")


SIZE, LONG = 256 * M, 1 << 30
UPSTREAM = ["--filter=readahead", "--filter=cache"]
table = Table("coalesce")


def compare(case, against, filters, source, client, options=(), **goal):
    return table.compare(case, against, measured([COALESCE], [*source, *options], client),
                         measured(filters, source, client), **goal)


with Directory() as d:
    scattered, medium, large, whole = (d / n for n in ("scattered", "medium", "large", "whole"))
    ragged = d / "ragged"
    vast, small = d / "vast", d / "small"
    sparse_file(small, 256 * 2 * 64 * K, 64 * K)
    sparse_file(scattered, SIZE, 64 * K)
    sparse_file(vast, LONG, 64 * K)
    sparse_file(medium, LONG, 512 * K)
    sparse_file(large, LONG, 4 * M)
    ragged_file(ragged, SIZE)
    random_file(whole, SIZE)

    one = nbdcopy("-C", "1", "-R", "1")
    for name, client in (("nbdcopy --synchronous", nbdcopy("--synchronous")),
                         ("nbdcopy -C 1 -R 1", one)):
        compare(f"{name}, 64 KiB extents, 5 ms", "without", [], delayed(scattered, "5ms"), client,
                at_least=15, faster=True)
        compare(f"{name}, 64 KiB extents, random gaps, 20 ms", "without", [], delayed(ragged, "20ms"),
                client, faster=True)
        compare(f"{name}, whole disk, 10 ms", "without", [], delayed(whole, "10ms"), client,
                at_least=15, faster=True)
    compare("nbdcopy --synchronous, 256 extents of 64 KiB, 5 ms", "without", [], delayed(small, "5ms"),
            nbdcopy("--synchronous"), at_least=20, faster=True)
    compare("nbdcopy --synchronous, whole disk, 10 ms", "readahead+cache", UPSTREAM,
            delayed(whole, "10ms"), nbdcopy("--synchronous"), faster=True)
    for against, filters in (("without", []), ("readahead+cache", UPSTREAM)):
        # qemu-img queries one extent at a time, for which coalesce-extents=merged is made.
        compare("qemu-img convert, 64 KiB extents, VDDK-like, merged", against, filters,
                vddk_like(vast), qemu_img, ["coalesce-extents=merged"], at_least=4, faster=True)
    compare("qemu-img convert, 64 KiB extents, VDDK-like, exact", "without", [], vddk_like(vast),
            qemu_img, faster=True)
    compare("nbdcopy, 64 KiB extents, VDDK-like", "without", [], vddk_like(vast), nbdcopy(),
            at_least=4, faster=True)
    compare("nbdcopy, 64 KiB extents, random gaps, VDDK-like", "without", [], vddk_like(ragged),
            nbdcopy(), faster=True)
    compare("nbdcopy, whole disk, no latency", "without", [], ["file", whole], nbdcopy(), at_most=1.03)
    compare("random 4 KiB reads (fio), no latency", "without", [], ["file", whole], fio, at_most=1.03)

    # The bandwidth, with one request at a time and with the parallel requests of nbdcopy.
    for name, extent, disk, goal in (("64 KiB", 64 * K, vast, 2.9), ("512 KiB", 512 * K, medium, 2.8),
                                     ("4 MiB", 4 * M, large, 2.6)):
        for how, client in (("one request at a time", one), ("nbdcopy", nbdcopy())):
            case = f"{name} extents, VDDK-like, {how}: MB/s of data"
            if not table.selected(case):
                continue
            speed = {}
            for label, filters in (("ours", [COALESCE]), ("without", [])):
                times = [measured(filters, vddk_like(disk), client)() for _ in range(table.options.runs)]
                speed[label] = sorted(LONG / 2 / 1e6 / t for t in times)
            middle = {k: v[len(v) // 2] for k, v in speed.items()}
            table.row(case, f"without; the source allows {allowed_by_source(extent):.0f}", f"{middle['ours']:.0f}",
                      f"{middle['without']:.0f}", [a / b for a, b in zip(speed["ours"], speed["without"])],
                      at_least=goal if client is one else None, kind="faster")

    case = "memory over coalesce-memory, MiB"
    if table.selected(case):
        over = []
        for client in (nbdcopy(), nbdcopy("--synchronous"), qemu_img):
            with Server("-r", COALESCE, *vddk_like(vast), f"coalesce-memory={MEMORY}") as server:
                client(server.uri())
                over.append((server.resident() - MEMORY) / M)
        table.row(case, "-", f"{max(over):.0f}", "-", [max(over)], at_most=32)
table.end()
