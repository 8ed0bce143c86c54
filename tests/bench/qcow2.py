# SPDX-License-Identifier: BSD-3-Clause
#
# The qcow2 plugin, compared with qemu-nbd and with a raw file of nbdkit's file plugin.
# QCOW2_BENCH_GIB is the size of the copies (4), QCOW2_BENCH_CLUSTERS the number of clusters in the
# memory cases (1000000, and 16 times that).
import functools
import json
import os
import random
import subprocess

import nbd

from bench import Directory, Reserve, Server, Table, module, random_file, run, seconds

PLUGIN = module("plugin", "qcow2")
GIB = float(os.environ.get("QCOW2_BENCH_GIB", "4"))
SIZE = int(GIB * (1 << 30)) >> 20 << 20
CLUSTERS = int(os.environ.get("QCOW2_BENCH_CLUSTERS", "1000000"))
WIDE = 5 * SIZE  # of the disk of which a tenth is written at random places


# As nbdkit-qcow2-plugin(1) recommends for few processors; the file plugin gains by it as well.
THREADS = ("-t", "4")


def ours(directory, size, *options):
    """Our plugin on a new image."""
    image = directory / "ours.qcow2"
    if os.path.exists(image):
        os.unlink(image)
    return Server(PLUGIN, image, f"size={size}", *options)


def qemu(directory, size, *options, backing=None):
    """qemu-nbd on a new image."""
    image = directory / "theirs.qcow2"
    over = ["-b", backing, "-F", "raw"] if backing else []
    run("qemu-img", "create", "-q", "-f", "qcow2", *over, image, size)
    socket = directory / "qemu.sock"
    if os.path.exists(socket):
        os.unlink(socket)
    return Server("--persistent", "--shared=0", f"--socket={socket}", "-f", "qcow2", *options, image,
                  command=("qemu-nbd",), socket=socket)


def raw(directory, size, *options):
    """nbdkit's file plugin: a raw file."""
    image = directory / "theirs.raw"
    with open(image, "wb") as f:
        f.truncate(0)
        f.truncate(size)
    return Server("file", image, *options)


def flush(uri):
    h = nbd.NBD()
    h.connect_uri(uri)
    h.flush()
    h.shutdown()


def copy(server, source, *options):
    """The seconds that nbdcopy takes."""
    with server as s:
        return seconds(run, "nbdcopy", *options, source, s.uri())


def fio(directory, size):
    """Seconds for fio to write a file from its start to its end, and to sync it."""
    text = run("fio", "--name=whole", "--ioengine=io_uring", "--direct=1", f"--filename={directory / 'fio'}", "--rw=write",
               "--bs=1m", "--iodepth=16", f"--size={size}", "--end_fsync=1", "--fallocate=none", "--refill_buffers",
               "--output-format=json")
    os.unlink(directory / "fio")
    return json.loads(text[text.index("{"):])["jobs"][0]["job_runtime"] / 1000


def scatter(server, block, bytes_to_write, durable=False):
    """Seconds for fio to write to random places, each once, with 64 requests in flight."""
    with server as s:
        text = run("fio", "--name=scatter", "--ioengine=nbd", f"--uri={s.uri()}", "--rw=randwrite",
                   f"--bs={block}", f"--size={WIDE}", f"--io_size={bytes_to_write}", "--iodepth=64",
                   "--random_generator=lfsr", "--randseed=1", "--output-format=json")
        took = json.loads(text[text.index("{"):])["jobs"][0]["write"]["runtime"] / 1000
        return took + (seconds(flush, s.uri()) if durable else 0)


def real_files(path, size):
    """A disk that holds a tar archive of /usr."""
    with open(path, "wb") as f:
        tar = subprocess.Popen(["tar", "-C", "/usr", "-cf", "-", "."], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
        while f.tell() < size and (chunk := tar.stdout.read(min(1 << 20, size - f.tell()))):
            f.write(chunk)
        tar.kill()
        tar.wait()
        f.truncate(size)


def in_memory(table):
    with Directory() as d:
        source, reserve = d / "source", Reserve(d, SIZE)

        def copied(image, server):
            with reserve.lent_to(d / image):
                return copy(server(d, SIZE), source)

        mine = functools.partial(copied, "ours.qcow2", lambda d, size: ours(d, size, *THREADS))
        default = functools.partial(copied, "ours.qcow2", ours)
        theirs = functools.partial(copied, "theirs.qcow2", qemu)
        file = functools.partial(copied, "theirs.raw", lambda d, size: raw(d, size, *THREADS))

        def floor():
            return copy(Server("null", SIZE, *THREADS), source)

        if table.selected("random data, in memory"):
            random_file(source, SIZE)
            table.compare("random data, in memory", "qemu-nbd", mine, theirs, at_most=0.57, warm_up=True)
            table.compare("random data, in memory, nbdkit's default threads", "qemu-nbd", default, theirs, warm_up=True)
            table.compare("random data, in memory, raw", "nbdkit file", mine, file, at_most=0.95, warm_up=True)
            # nbdkit's null plugin: what the client and nbdkit itself take.
            table.compare("random data, in memory, the floor", "qemu-nbd", floor, theirs, warm_up=True)
            table.compare("random data, in memory, the floor, raw", "nbdkit file", floor, file, warm_up=True)
        if table.selected("half sparse, in memory"):
            random_file(source, SIZE)
            for at in range(0, SIZE, 8 << 20):
                run("fallocate", "-p", "-o", at, "-l", 4 << 20, source)
            table.compare("half sparse, in memory", "qemu-nbd", mine, theirs, at_most=0.62, warm_up=True)
        if table.selected("real files, in memory"):
            real_files(source, SIZE)
            table.compare("real files, in memory", "qemu-nbd", mine, theirs, at_most=0.65, warm_up=True)


def scattered(table):
    amount = WIDE // 10
    with Directory() as d:
        base, reserve = d / "base", Reserve(d, amount)
        backed = ("backing=" + base, "backing-format=raw")

        def mine(block, amount, *options):
            with reserve.lent_to(d / "ours.qcow2"):
                return scatter(ours(d, WIDE, *options), block, amount)

        def theirs(block, amount, *options, backing=None):
            with reserve.lent_to(d / "theirs.qcow2"):
                return scatter(qemu(d, WIDE, *options, backing=backing), block, amount)

        def file():
            with reserve.lent_to(d / "theirs.raw"):
                return scatter(raw(d, WIDE), "64k", amount)

        for aio, goal in ("threads", 0.75), ("io_uring", 0.85):
            table.compare(f"64 KiB scattered, in memory, {aio}", f"qemu-nbd aio={aio}",
                          lambda: mine("64k", amount), lambda: theirs("64k", amount, f"--aio={aio}"),
                          at_most=goal, warm_up=True)
        # A raw file takes as long: the rest of the time is spent in nbdkit and the client.
        table.compare("64 KiB scattered, in memory, raw", "nbdkit file", lambda: mine("64k", amount), file,
                      at_most=1.00, warm_up=True)
        table.compare("16 KiB scattered, in memory", "qemu-nbd", lambda: mine("16k", amount // 4),
                      lambda: theirs("16k", amount // 4), at_most=0.35, warm_up=True)
        if table.selected("16 KiB scattered over a backing file, in memory"):
            random_file(base, SIZE)
            os.truncate(base, WIDE)
            table.compare("16 KiB scattered over a backing file, in memory", "qemu-nbd",
                          lambda: mine("16k", amount // 4, *backed),
                          lambda: theirs("16k", amount // 4, backing=base), at_most=0.75, warm_up=True)


def on_disk(table):
    best = ("--cache=none", "--aio=io_uring")
    amount = WIDE // 10
    with Directory(disk=True) as d, Directory() as memory:
        source = memory / "source"
        if table.selected("random data, on disk"):
            random_file(source, SIZE)
            table.compare("random data, on disk, best", "qemu-nbd cache=none io_uring",
                          lambda: copy(ours(d, SIZE), source, "--flush"),
                          lambda: copy(qemu(d, SIZE, *best), source, "--flush"), at_most=0.60)
            table.compare("random data, on disk, default", "qemu-nbd",
                          lambda: copy(ours(d, SIZE), source, "--flush"),
                          lambda: copy(qemu(d, SIZE), source, "--flush"), at_most=0.50)
            table.compare("random data, on disk, fio", "fio, io_uring, direct",
                          lambda: copy(ours(d, SIZE), source, "--flush"), lambda: fio(d, SIZE), at_most=1.05)
            os.unlink(source)
        table.compare("64 KiB scattered, on disk, qemu", "qemu-nbd cache=none io_uring",
                      lambda: scatter(ours(d, WIDE), "64k", amount, True),
                      lambda: scatter(qemu(d, WIDE, *best), "64k", amount, True), at_most=1.00)
        table.compare("64 KiB scattered, on disk, raw", "nbdkit file",
                      lambda: scatter(ours(d, WIDE), "64k", amount, True),
                      lambda: scatter(raw(d, WIDE), "64k", amount, True), at_most=1.00)


def write_scattered(uri, count):
    h = nbd.NBD()
    h.connect_uri(uri)
    r = random.Random(1)
    clusters = h.get_size() // 65536
    data = nbd.Buffer.from_bytearray(bytearray(b"x" * 512))
    for _ in range(count):
        h.aio_pwrite(data, r.randrange(clusters) * 65536, completion=lambda _: 1)
        while h.aio_in_flight() >= 64:
            h.poll(-1)
    while h.aio_in_flight() > 0:
        h.poll(-1)
    h.flush()


def memory(table):
    """The peak of the server's memory, in MiB."""

    def row(case, server, write):
        if not table.selected(case):
            return
        with server as s:
            took = seconds(write, s.uri())
            # The image is closed when the last client has disconnected; the next client waits for that.
            closing = seconds(run, "nbdinfo", "--size", s.uri())
            peak = s.resident()
        table.row(case, "MiB of memory", f"{took:.0f} s, close {closing:.1f} s", "-", [peak / (1 << 20)], at_most=96)

    with Directory() as d:
        row(f"memory: 62 TiB, {CLUSTERS} scattered clusters", ours(d, "62T"),
            lambda uri: write_scattered(uri, CLUSTERS))
        size = CLUSTERS * 16 * 512
        row(f"memory: {16 * CLUSTERS} clusters of 512 bytes", ours(d, size, "cluster-size=512"),
            lambda uri: run("nbdcopy", "--", "[", "nbdkit", "--exit-with-parent", "pattern", f"{size}", "]", uri))


table = Table("qcow2")
in_memory(table)
scattered(table)
on_disk(table)
memory(table)
table.end()
