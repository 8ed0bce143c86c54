#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
#
# crash.py PLUGIN DIRECTORY ROUNDS [COMPRESS [SEED]]: in each round, kills the server while it writes and checks that
# everything that was flushed is there: after qemu-img check -r all, and after the plugin has repaired the image. The
# next round continues with that image. Every five rounds a new image is created, with a random cluster size, and with
# or without a backing file. COMPRESS is none, or compress for zlib or zstd at random.
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import nbd

plugin, directory, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
compress = len(sys.argv) > 4 and sys.argv[4] == "compress"
seed = int(sys.argv[5]) if len(sys.argv) > 5 else int.from_bytes(os.urandom(4), "big")
print(f"seed {seed}", flush=True)
rng = random.Random(seed)
os.chdir(directory)
SIZE = 24 << 20
CONNECTIONS = 2


class Piece:
    """A range of the disk, and what is known about its content."""

    def __init__(self, offset, content):
        self.offset, self.length = offset, len(content)
        self.flushed = content     # as of the last flush that has succeeded
        self.current = content     # as of the last request that has succeeded; None: one is in flight
        self.touched = False       # a write has been sent since that flush


def pieces(content):
    at, result = 0, []
    while at < SIZE:
        n = min(SIZE - at, rng.randrange(1, rng.choice((700, 70000, 700000))))
        result.append(Piece(at, content[at:at + n]))
        at += n
    return result


def serve(*arguments):
    if os.path.exists("sock"):
        os.unlink("sock")
    log = open("log", "w")
    server = subprocess.Popen(["nbdkit", "-f", "-U", "sock", plugin, *arguments], stdout=log, stderr=log)
    deadline = time.monotonic() + 120
    while True:
        try:
            h = nbd.NBD()
            h.connect_unix("sock")
            return server, h
        except nbd.Error:
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the server did not start: {open('log').read()}")
            time.sleep(0.01)


def some_bytes(r, length):
    """Random bytes; with compress also some that compress well or a little."""
    noise = r.randbytes(length)
    letters = r.choice((256, 16, 2)) if compress else 256
    return noise if letters == 256 else noise.translate(bytes(97 + b % letters for b in range(256)))


def load(h, mine, stop_after):
    """Writes, zeroes and flushes until the server has been killed."""
    r = random.Random(rng.random())
    try:
        while not stop_after.is_set():
            batch = r.sample(mine, min(len(mine), 12))
            for p in batch:
                if r.random() < 0.2:
                    content, zero = bytes(p.length), True
                else:
                    content, zero = some_bytes(r, p.length), False
                p.touched, p.current = True, None

                def finished(error, p=p, content=content):
                    if error == 0 or getattr(error, "value", error) == 0:
                        p.current = content
                    return 1

                if zero:
                    h.aio_zero(p.length, p.offset, completion=finished)
                else:
                    h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(content)), p.offset, completion=finished)
            while h.aio_in_flight() > 0:
                h.poll(-1)
            if r.random() < 0.6:
                # A flush makes durable what has completed before it on all connections. Only this one's requests
                # are known to have.
                h.flush()
                for p in mine:
                    if p.touched and p.current is not None:
                        p.flushed, p.touched = p.current, False
    except nbd.Error:
        pass


def verify(read, all_pieces, who):
    for p in all_pieces:
        got = read(p.offset, p.length)
        if not p.touched and got != p.flushed:
            wrong = [i for i in range(p.length) if got[i] != p.flushed[i]]
            sys.exit(f"{who}: of the flushed {p.length} bytes at {p.offset} {len(wrong)} are lost, "
                     f"{wrong[0]} to {wrong[-1]}: {got[wrong[0]:][:16]} for {p.flushed[wrong[0]:][:16]} "
                     f"({options}, round {number}, seed {seed})")


def check_repaired_by_qemu(all_pieces):
    shutil.copy("image", "repaired")
    run = subprocess.run(["qemu-img", "check", "-r", "all", "repaired"], capture_output=True, text=True)
    again = subprocess.run(["qemu-img", "check", "repaired"], capture_output=True, text=True)
    if again.returncode != 0:
        sys.exit(f"qemu-img cannot repair it (seed {seed}): {run.stdout}{run.stderr}{again.stdout}")
    subprocess.run(["qemu-img", "convert", "-O", "raw", "repaired", "raw"], check=True)
    with open("raw", "rb") as f:
        verify(lambda at, n: (f.seek(at), f.read(n))[1], all_pieces, "after qemu-img check -r all")


def check_repaired_by_plugin(all_pieces):
    server, h = serve("image", "backing=auto")
    content = bytearray()
    while len(content) < SIZE:
        content += h.pread(min(1 << 20, SIZE - len(content)), len(content))
    verify(lambda at, n: bytes(content[at:at + n]), all_pieces, "after the plugin's repair")
    h.shutdown()
    server.send_signal(signal.SIGTERM)
    server.wait(120)
    subprocess.run(["qemu-img", "check", "-q", "image"], check=True)
    # The next round continues with the content of the image.
    for p in all_pieces:
        p.flushed = p.current = bytes(content[p.offset:p.offset + p.length])
        p.touched = False


def begin():
    for name in ("image", "base"):
        if os.path.exists(name):
            os.unlink(name)
    content = bytes(SIZE)
    options = [f"size={SIZE}", f"cluster-size={rng.choice((512, 4096, 65536, 1 << 20))}", "l2-cache=1M"]
    if compress:
        options += [rng.choice(("compress=zlib", "compress=zstd")), "compress-level=1"]
    if rng.random() < 0.5:
        content = rng.randbytes(SIZE // 2) + bytes(SIZE // 2)
        with open("base", "wb") as f:
            f.write(content[:SIZE // 2])
        options += ["backing=base", "backing-format=raw"]
    return pieces(content), options


dirty = 0
for number in range(rounds):
    if number % 5 == 0:
        all_pieces, options = begin()
    server, h = serve("image", *options)
    handles = [h]
    for _ in range(CONNECTIONS - 1):
        other = nbd.NBD()
        other.connect_unix("sock")
        handles.append(other)
    stop = threading.Event()
    threads = [threading.Thread(target=load, args=(x, all_pieces[i::CONNECTIONS], stop))
               for i, x in enumerate(handles)]
    for t in threads:
        t.start()
    time.sleep(rng.uniform(0.005, 0.6))
    server.kill()
    server.wait()
    for t in threads:
        t.join()
    if subprocess.run(["qemu-img", "check", "-q", "image"], capture_output=True).returncode != 0:
        dirty += 1
    check_repaired_by_qemu(all_pieces)
    check_repaired_by_plugin(all_pieces)
print(f"killed {rounds} times, {dirty} images needed repair, nothing that was flushed was lost")
