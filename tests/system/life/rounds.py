# SPDX-License-Identifier: BSD-3-Clause
"""rounds.py ROUNDS SEED: random plans, and something that goes wrong in each night: no point that list calls complete
restores wrong, and the same command again ends well. Each round is a process of its own, in a directory of its own."""
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True

from life import BUILD, M, Life, live  # noqa: E402
from runs_of_command import compare, kill_all, servers_of_this_test, wait_until  # noqa: E402

EVENTS = ("nothing", "kill", "terminate", "kill a server", "no destination", "reset", "connections break", "kill a prune")


class Round(Life):
    def __init__(self, rng, machines):
        super().__init__(machines, seed=rng.randrange(1 << 30))
        self._rng = rng
        self._references = {}  # day in the names of points -> directory
        self._vary_plan()

    def _vary_plan(self):
        with open("plan.toml", encoding="utf-8") as file:
            text = file.read()
        first = [f'longest-chain = {self._rng.choice((0, 2, 30))}']
        if self._rng.random() < 0.5:
            first.append(f'target-parameters = ["compress={self._rng.choice(("zstd", "zlib"))}"]')
        if self._rng.random() < 0.3:
            text = text.replace("per-host = 2", "per-host = 1\nmachines = 1\ndisks = 1")
        if self._rng.random() < 0.3:
            text = text.replace("last = 2\nweekly = 1", "last = 1")
        with open("plan.toml", "w", encoding="utf-8") as file:
            file.write("\n".join(first) + text)

    def nights(self, count):
        self.start_dr()
        try:
            for _ in range(count):
                self._night(self._rng.choice(EVENTS))
            self.run()
            self.dr_equals()
        finally:
            self.stop_dr()

    def _night(self, event):
        self.day += 1
        self.guests_write()
        print(f"  night {self.day}: {event}", flush=True)
        reference = self.keep_reference()
        self._references[time.strftime("%Y%m%d", time.gmtime(time.time() + self.ahead))] = reference
        if event == "no destination":
            self.stop_dr()
            self.run(status=(3,))
            self.start_dr()
        elif event == "reset":
            name, moref, key = self._rng.choice(list(self.disks()))
            self.control("reset", vm=moref, disk=key)
        elif event == "connections break":
            self.control("fault", where="folder", kind="reset", count=self._rng.randrange(1, 4))
        elif event == "kill a prune":
            self._interrupted(["prune", "plan.toml"], kill_all)
        elif event != "nothing":
            self._interrupted(["run", "plan.toml", "--build", BUILD],
                              {"kill": kill_all, "terminate": terminate, "kill a server": self._kill_a_server}[event])
        self._check_points()
        self._until_done()
        if self._rng.random() < 0.4:
            self.command("prune", "plan.toml")
        self._check_points()

    def _interrupted(self, words, how):
        process = self.begin(*words)
        # Not an assertion on time: at whichever instant it is.
        end = time.monotonic() + self._rng.uniform(0.2, 3)
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.01)
        how(process)

    def _kill_a_server(self, process):
        servers = servers_of_this_test()
        if servers:
            try:
                os.kill(int(self._rng.choice(servers)), signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait(timeout=1200)
        wait_until(lambda: not servers_of_this_test())

    def _until_done(self):
        """The same command again."""
        for _ in range(3):
            process = self.begin("run", "plan.toml", "--build", BUILD)
            if process.wait(timeout=1200) == 0:
                return
        raise AssertionError("not done after three runs: " + open("said.log", encoding="utf-8").read())

    def _check_points(self):
        for (name, key), times in self.points().items():
            for one in times:
                compare(f"{self._references[one[:8]]}/{name}-{key}", f"images/{name}/{key}-{one}.qcow2")


def terminate(process):
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=1200)


def one_round(seed):
    rng = random.Random(seed)
    os.makedirs("dr")
    os.makedirs("tmp")
    os.environ["TMPDIR"] = os.path.abspath("tmp")
    machines = {f"vm{n}": (f"vm-{n}", [2000 + k for k in range(rng.randrange(1, 3))]) for n in range(1, rng.randrange(2, 5))}
    words = []
    for name, (moref, keys) in machines.items():
        words += ["--vm", f"/DC0/vm/prod/{name}={moref}"]
        for key in keys:
            with open(live(name, key), "wb") as file:
                file.truncate(rng.randrange(2, 9) * M // 2)
                file.seek(65536 * rng.randrange(4))
                file.write(rng.randbytes(rng.randrange(700000)))
            with open(f"dr/{name}-{key}", "wb") as file:
                file.truncate(os.path.getsize(live(name, key)))
            words += ["--disk", f"{key}={live(name, key)}"]
    with open("vc.pass", "w", encoding="ascii") as file:
        file.write("s3cret")
    program = os.path.join(os.environ["SOURCE"], "tests", "vcenter", "vcenter.py")
    with open("vcenter.out", "wb") as log:
        vcenter = subprocess.Popen([sys.executable, program, "--directory", ".", "--ready", "vcenter.json", "--host",
                                    "--task-ms", "10", *words], stdout=log, stderr=log)
    try:
        wait_until(lambda: os.path.exists("vcenter.json") and os.path.getsize("vcenter.json") > 0)
        Round(rng, machines).nights(rng.randrange(2, 5))
    finally:
        vcenter.terminate()
        vcenter.wait()


def main():
    seed = int(sys.argv[2])
    if sys.argv[1] == "here":
        one_round(seed)
        return 0
    rounds = int(sys.argv[1])
    failed = 0
    for number in range(seed, seed + rounds):
        directory = f"round-{number}"
        os.makedirs(directory)
        print(f"round {number}", flush=True)
        result = subprocess.run([sys.executable, "-B", __file__, "here", str(number)], cwd=directory, check=False)
        if result.returncode == 0:
            shutil.rmtree(directory)
        failed += result.returncode != 0
    print(f"{rounds} rounds, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
