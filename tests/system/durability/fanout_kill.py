#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
#
# fanout_kill.py ROUNDS SEED: fio writes at random through a fanout filter. In each round one or two of its
# destinations are killed with SIGKILL and restarted a moment later. The first is killed when the async destination has
# received writes that were kept for it. After every ten rounds fio is stopped and the server drains what is owed: then
# every destination must equal the primary.
import os
import random
import signal
import subprocess
import sys
import time

FANOUT = f"{os.environ['BUILD']}/filters/fanout/nbdkit-fanout-filter.so"
SIZE = 48 << 20
GROUP = 10  # rounds between two comparisons
ASYNC = "three"  # the async destination


class Server:
    """A server on NAME.sock that can be killed and started again."""

    def __init__(self, name, *command):
        self.name = name
        self.socket = f"{os.getcwd()}/{name}.sock"
        self.command = [c.replace("SOCKET", self.socket) for c in command]
        self.log = open(f"{name}.log", "a")
        self.start()

    def uri(self):
        return f"nbd+unix:///?socket={self.socket}"

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 600
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{self.name} did not start")
            time.sleep(0.002)

    def listens(self):
        """Its socket exists a moment before that (proc(5), "unix": __SO_ACCEPTCON)."""
        with open("/proc/net/unix") as sockets:
            return any(line.split()[3] == "00010000" and line.split()[-1] == self.socket for line in sockets)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(600)
        if self.process.returncode < 0:
            sys.exit(f"{self.name} ended with {self.process.returncode}")


def same(name, size=SIZE):
    with open("primary.raw", "rb") as a, open(name, "rb") as b:
        for offset in range(0, size, 1 << 20):
            if a.read(1 << 20) != b.read(1 << 20):
                sys.exit(f"{name} differs from the primary in the MiB at {offset}")


def counter(name):
    """A counter of the async destination."""
    try:
        with open("stats") as f:
            lines = f.read().splitlines()
    except FileNotFoundError:
        return 0
    start = f'nbdkit_fanout_{name}_total{{destination="{ASYNC}"}} '
    return next((int(line.removeprefix(start)) for line in lines if line.startswith(start)), 0)


def wait_for_kept(fio):
    """Until the async destination has received data that was not read from the primary."""
    deadline = time.monotonic() + 600
    while counter("bytes") <= counter("copied_bytes"):
        if fio.poll() is not None:
            sys.exit(f"fio ended with {fio.returncode}")
        if time.monotonic() > deadline:
            sys.exit("the async destination has received no write that was kept for it")
        time.sleep(0.05)


def group(rounds, destinations, chance):
    """Runs fio and the server for so many rounds."""
    arguments = []
    for d in destinations:
        mode = "async" if d.name == ASYNC else "sync"
        arguments += [f"fanout-dest={d.uri()}", f"fanout-name={d.name}", f"fanout-mode={mode}"]
    if os.path.exists("stats"):  # of the group before
        os.unlink("stats")
    fanout = Server("fanout", "nbdkit", "-fv", "-U", "SOCKET", f"--filter={FANOUT}", "file", "primary.raw",
                    "fanout-on-error=detach", "fanout-retries=2", "fanout-retry-delay=0.1",
                    "fanout-retry-max=0.3", "fanout-connections=2", "fanout-state=state", "fanout-stats=stats",
                    *arguments)
    # Small writes anywhere, and large ones of whole blocks, which an async destination keeps for sending.
    jobs = [arg for name, sizes in (("small", ["--bsrange=512-96k"]), ("large", ["--bs=256k", "--blockalign=64k"]))
            for arg in (f"--name={name}", "--ioengine=nbd", f"--uri={fanout.uri()}", "--rw=randwrite", *sizes,
                        f"--size={SIZE}", "--iodepth=8", "--norandommap=1", "--time_based=1", "--runtime=3600",
                        "--fsync=50", f"--randseed={chance.randrange(1 << 30)}", "--rate=16m")]
    fio = subprocess.Popen(["fio", *jobs], stdout=open("fio.log", "a"), stderr=subprocess.STDOUT)
    try:
        wait_for_kept(fio)
    except BaseException:
        fio.kill()
        fanout.kill()
        raise
    for _ in range(rounds):
        time.sleep(chance.random() * 0.4)
        victims = chance.sample(destinations, chance.choice((1, 1, 1, 2)))
        for victim in victims:
            victim.kill()
        time.sleep(chance.choice((0, 0, 0.05, 0.2, 0.8)) * chance.random())
        for victim in victims:
            victim.start()
    time.sleep(0.2)
    fio.send_signal(signal.SIGINT)
    fio.wait(600)
    fanout.stop()  # drains what is owed
    if fio.returncode not in (0, 128):
        sys.exit(f"fio failed with {fio.returncode}")


def main():
    rounds, seed = int(sys.argv[1]), int(sys.argv[2])
    print(f"seed {seed}")
    chance = random.Random(seed)
    os.makedirs("state", exist_ok=True)
    names = ("one", "two", "three")
    with open("primary.raw", "wb") as f:
        f.write(random.Random(1).randbytes(SIZE))
    for name in (*names, "qemu"):
        subprocess.run(["cp", "primary.raw", f"{name}.raw"], check=True)
    destinations = [Server(n, "nbdkit", "-f", "-t", "1", "-U", "SOCKET", "file", f"{n}.raw") for n in names]
    destinations.append(Server("qemu", "qemu-nbd", "--persistent", "--shared=0", "--socket=SOCKET", "-f", "raw",
                               "qemu.raw"))
    try:
        done = 0
        while done < rounds:
            n = min(GROUP, rounds - done)
            group(n, destinations, chance)
            done += n
            for d in destinations:
                same(f"{d.name}.raw")
            with open("fanout.log") as f:
                copied = sum(1 for line in f if "has caught up" in line)
            print(f"{done} rounds, all equal; caught up {copied} times", flush=True)
    finally:
        for d in destinations:
            d.kill()
    print("all equal at the end")


main()
