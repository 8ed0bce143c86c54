# SPDX-License-Identifier: BSD-3-Clause
"""Rounds of: random writes to a disk, and a run with delta-digests= that may be killed at a random request.

After each round the run is repeated until it is complete; then the copy must equal the disk. In the working
directory. The places of kills are counted in requests, so that they do not depend on the machine's speed.
"""
import argparse
import json
import os
import random
import signal
import subprocess
import time

SIZE = 5 * 1024 * 1024 + 4096
BLOCK = 65536


def write_randomly(rng):
    with open("disk.raw", "r+b") as disk:
        for _ in range(rng.randrange(0, 6)):
            offset = rng.randrange(SIZE)
            length = min(rng.choice([1, 512, BLOCK, 300_000]), SIZE - offset)
            disk.seek(offset)
            disk.write(bytes(length) if rng.random() < 0.3 else rng.randbytes(length))


class Server:
    def __init__(self, name, *arguments):
        self.socket = f"{os.getcwd()}/{name}.sock"
        for leftover in (self.socket, f"{name}.ready"):
            if os.path.exists(leftover):
                os.unlink(leftover)
        with open(f"{name}.log", "ab") as log:
            self.process = subprocess.Popen(["nbdkit", "-f", "-U", self.socket, "-P", f"{name}.ready", *arguments],
                                            stderr=log)
        while not os.path.exists(f"{name}.ready") and self.process.poll() is None:
            time.sleep(0.01)
        self.uri = f"nbd+unix:///?socket={self.socket}"

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()


def is_complete():
    try:
        with open("state") as file:
            return json.load(file)["owed"] == []
    except FileNotFoundError:
        return False


def run(options, killed, after):
    """One run; the server named by `killed` is killed after so many lines of its log of requests."""
    log = ["--filter=log"] if killed == "src" else []
    source = Server("src", f"--filter={options.delta}", *log, "file", "disk.raw", "delta-digests=disk.digests",
                    "delta-owed=state", *(["logfile=requests"] if log else []))
    log = ["--filter=log"] if killed == "dst" else []
    target = Server("dst", f"--filter={options.apply}", *log, "file", "copy.raw", f"apply-from={source.uri}",
                    "apply-state=state", "apply-verify=off", *(["logfile=requests"] if log else []))
    open("requests", "w").close()
    client = subprocess.Popen(["nbdcopy", "--flush", "--requests=1", source.uri, target.uri],
                              stderr=subprocess.DEVNULL)
    victim = {"src": source, "dst": target}.get(killed)
    while victim and client.poll() is None:
        with open("requests") as requests:
            if sum(1 for _ in requests) >= after:
                victim.end(signal.SIGKILL)
                victim = None
        time.sleep(0.001)
    client.wait()
    # The destination completes the copy when its client has gone.
    target.end()
    source.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--delta", required=True)
    parser.add_argument("--apply", required=True)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with open("disk.raw", "wb") as disk:
        disk.write(rng.randbytes(SIZE))
    with open("copy.raw", "wb") as copy:
        copy.truncate(SIZE)
    increments = 0
    for number in range(options.rounds):
        write_randomly(rng)
        kills = rng.randrange(3)
        for attempt in range(kills + 2):
            if attempt < kills:
                run(options, rng.choice(["src", "dst"]), rng.randrange(1, 60))
                if rng.random() < 0.5:
                    write_randomly(rng)
            else:
                run(options, None, 0)
                if is_complete():
                    break
        with open("disk.raw", "rb") as disk, open("copy.raw", "rb") as copy:
            assert is_complete(), f"round {number}: the copy is not complete"
            assert disk.read() == copy.read(), f"round {number}: the copy differs"
        increments += 1
    print(f"{increments} rounds")


main()
