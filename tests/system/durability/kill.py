#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
#
# kill.py ROUNDS SEED, run in an empty directory. In each round the guest writes, a copy begins, and during it the
# client, the source server or the destination server is killed. After each round, every byte that the state file does
# not owe must be at the destination. After the last round, in which nothing is killed, the destination must equal the
# source.
import json
import os
import random
import signal
import subprocess
import sys
import time

BUILD = os.environ["BUILD"]
DELTA = f"{BUILD}/filters/delta/nbdkit-delta-filter.so"
APPLY = f"{BUILD}/filters/apply/nbdkit-apply-filter.so"
HERE = os.getcwd()
SIZE = 3 * 1024 * 1024 + 777  # the last sector is not whole
KILL, TERM = signal.SIGKILL, signal.SIGTERM


def uri(name):
    return f"nbd+unix:///?socket={HERE}/{name}.sock"


class Server:
    def __init__(self, name, *arguments):
        for suffix in ("sock", "ready"):
            if os.path.exists(f"{name}.{suffix}"):
                os.unlink(f"{name}.{suffix}")
        self.name = name
        self.log = open(f"{name}.log", "w")
        self.process = subprocess.Popen(
            ["nbdkit", "-fv", "-U", f"{HERE}/{name}.sock", "-P", f"{HERE}/{name}.ready", *arguments],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not os.path.exists(f"{name}.ready") or os.path.getsize(f"{name}.ready") == 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end(KILL)
                raise SystemExit(f"{name} did not start:\n{open(f'{name}.log').read()[-2000:]}")
            time.sleep(0.002)

    def end(self, how):
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise SystemExit(f"{self.name} did not end within a minute of signal {how}")
        finally:
            self.log.close()


class Guest:
    """The disk, its content at each checkpoint that is still needed, and what has changed since."""

    def __init__(self, chance):
        self.chance = chance
        self.disk = bytearray(chance.randbytes(SIZE))
        self.past = {}      # checkpoint -> content
        self.changes = []   # (number of the checkpoint before, offset, length)
        self.number = 0

    def write(self):
        for _ in range(self.chance.randrange(1, 12)):
            length = self.chance.choice([1, 513, 4096, 65536, self.chance.randrange(1, 300000)])
            offset = self.chance.randrange(0, SIZE)
            if self.chance.random() < 0.3:
                offset = offset // 4096 * 4096
            if self.chance.random() < 0.1:
                offset = max(0, SIZE - length)
            length = min(length, SIZE - offset)
            kind = self.chance.choice(["", "", "", "zeroes", "hole,zero", "zero"])
            self.disk[offset:offset + length] = bytes(length) if kind else self.chance.randbytes(length)
            self.changes.append((self.number, offset, length))

    def snapshot(self):
        self.number += 1
        self.past[f"c{self.number}"] = bytes(self.disk)
        return f"c{self.number}"

    def extents(self, since):
        """The extents of what has changed up to the last snapshot: lines for nbdkit-extentlist-filter."""
        changed = bytearray(SIZE)
        after = int(since[1:])
        for number, offset, length in self.changes:
            if number >= after:
                changed[offset:offset + length] = b"\1" * length
        lines, at = [], 0
        while at < SIZE:
            end = changed.find(0 if changed[at] else 1, at)
            end = SIZE if end < 0 else end
            if not changed[at]:
                kind = "hole"
            elif self.disk.count(0, at, end) == end - at:
                kind = self.chance.choice(["", "zero", "hole,zero"])
            else:
                kind = ""
            lines.append(f"{at} {end - at} {kind}")
            at = end
        return "\n".join(lines) + "\n"

    def forget(self, checkpoints):
        self.past = {c: self.past[c] for c in checkpoints if c in self.past}
        oldest = min((int(c[1:]) for c in self.past), default=0)
        self.changes = [c for c in self.changes if c[0] >= oldest]


def state():
    try:
        with open("web.state") as f:
            return json.load(f)
    except FileNotFoundError:
        return None


def check(guest, what):
    """The destination holds everything that the state file does not owe."""
    now = state()
    if now is None:
        return
    wanted = guest.past[now["checkpoint"]]
    with open("dst.raw", "rb") as f:
        there = f.read()
    may_differ = bytearray(SIZE)
    for offset, length in now["owed"]:
        may_differ[offset:offset + length] = b"\1" * length
    for at in range(0, SIZE, 4096):
        a, b = wanted[at:at + 4096], there[at:at + 4096]
        if a == b:
            continue
        for i in range(len(a)):
            if a[i] != b[i] and not may_differ[at + i]:
                raise SystemExit(f"{what}: byte {at + i} is wrong, and the state file does not owe it: "
                                 f"checkpoint {now['checkpoint']}, owed {now['owed'][:20]}")


def servers(guest, chance, slow):
    """Starts the source, with a new snapshot, and the destination."""
    old = state()
    checkpoint = guest.snapshot()
    with open("disk.raw", "wb") as f:
        f.write(guest.disk)
    description = {"nbdkit-replicate": 1, "source": "test", "vm": "vm", "disk": 1, "size": SIZE}
    extents = []
    if old is None:
        description |= {"mode": "full"}
    else:
        description |= {"mode": "delta", "since": old["checkpoint"]}
        with open("honest", "w") as f:
            f.write(guest.extents(old["checkpoint"]))
        extents = ["--filter=extentlist", "extentlist=honest"]
    description["checkpoint"] = checkpoint
    delay = ["--filter=delay"]
    reads = [f"rdelay={chance.choice([0, 1, 5])}ms"]
    writes = [f"wdelay={chance.choice([0, 1, 5])}ms", f"delay-zero={chance.choice([0, 1, 5])}ms"]
    if not slow:  # nor the filter: the newest nbdkit sleeps also for no time
        delay, reads, writes = [], [], []
    source = Server("src", f"--filter={DELTA}", *delay, "--filter=exportname", *extents[:1],
                    "file", "disk.raw", *extents[1:], "exportname-list=keep",
                    f"exportdesc=fixed:{json.dumps(description)}", "delta-owed=web.state", *reads)
    verify = [f"apply-verify={chance.choice([5, 100])}"] if chance.random() < 0.5 else []
    try:
        target = Server("dst", f"--filter={APPLY}", *delay, "file", "dst.raw", *writes,
                        f"apply-from={uri('src')}", "apply-state=web.state", "apply-destination=dst",
                        *verify)
    except SystemExit:
        source.end(KILL)
        raise
    return source, target


def client(chance, finishes):
    """Starts nbdcopy or qemu-img with random options. finishes: it must be able to write the whole disk.

    qemu-img is not: it writes whole sectors, and this disk does not end at one ("No space left on device").
    """
    copy = ["nbdcopy", f"--request-size={chance.choice([4096, 32768, 262144])}",
            f"--connections={chance.choice([1, 2, 4])}"]
    for option in ("--flush", "--destination-is-zero", "--sparse=0", "--allocated", "--synchronous"):
        if chance.random() < 0.4:
            copy.append(option)
    convert = ["qemu-img", "convert", "-n", "-f", "raw", "-O", "raw"]
    if chance.random() < 0.5:
        convert.append("--target-is-zero")
    if chance.random() < 0.5:
        convert.append("-W")
    chosen = copy if chance.random() < 0.7 or finishes else convert
    return subprocess.Popen([*chosen, uri("src"), uri("dst")], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=open("client.log", "w"))


def one_round(guest, chance, victims):
    """Returns whether nothing is owed at the end."""
    # nbdkit's delay filter fails once the client has disconnected, and then so does what apply completes: the last
    # round is without it.
    source, target = servers(guest, chance, slow=bool(victims))
    copying = client(chance, finishes=not victims)
    if victims:
        time.sleep(chance.random() ** 2 * 0.3)
    for victim in victims:
        if victim == "client" and copying.poll() is None:
            copying.kill()
        if victim == "source":
            source.end(KILL)
        if victim == "destination":
            target.end(KILL)
            check(guest, f"{victims}, at once")
    try:
        copying.wait(60)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{victims}: the client hangs")
    target.end(TERM)
    source.end(TERM)
    check(guest, f"{victims}, at the end")
    now = state()
    guest.forget([now["checkpoint"]] if now else [])
    return now is not None and not now["owed"]


def main():
    rounds, seed = int(sys.argv[1]), int(sys.argv[2])
    print(f"seed {seed}", flush=True)
    chance = random.Random(seed)
    guest = Guest(chance)
    with open("dst.raw", "wb") as f:
        f.write(chance.randbytes(SIZE))
    settled = 0
    for number in range(rounds):
        guest.write()
        victims = chance.choice([["client"], ["source"], ["destination"], ["client", "destination"],
                                 ["source", "destination"]])
        try:
            settled += one_round(guest, chance, victims)
        except SystemExit as e:
            raise SystemExit(f"round {number}: {e}")
    guest.write()
    # Whatever has happened, a round without kills completes the copy.
    if not one_round(guest, chance, []):
        raise SystemExit("something is owed after the last round:\n" + open("dst.log").read()[-2000:])
    if open("dst.raw", "rb").read() != guest.disk:
        raise SystemExit("the destination differs from the source")
    print(f"{rounds} rounds, {settled} of them completed the copy nevertheless; equal at the end")


main()
