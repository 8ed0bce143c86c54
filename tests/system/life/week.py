# SPDX-License-Identifier: BSD-3-Clause
"""week.py: seven nights of three machines, then restores of each night, and pruning that is killed.

PRUNE_KILLS=30 kills that many prunes.
"""
import json
import os
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True

from life import BUILD, M, Life, live  # noqa: E402
from runs_of_command import compare, kill_all, wait_until  # noqa: E402

MACHINES = {"web": ("vm-1", [2000, 2001, 2002]), "db": ("vm-2", [2000]), "mail": ("vm-3", [2000])}


class Week(Life):
    def __init__(self):
        super().__init__({name: (moref, list(keys)) for name, (moref, keys) in MACHINES.items()}, seed=1)
        self.references = []  # (day, time of the points, directory)

    # ---- Nights ----

    def night(self, *words, status=0):
        """A run after the guests have written, and what it leaves."""
        self.day += 1
        self.guests_write()
        return self.again(*words, status=status)

    def again(self, *words, status=0):
        text = self.run(*words, status=status)
        newest = {key: times[-1] for key, times in self.points().items()}
        assert set(newest) == {(name, key) for name, _, key in self.disks()}, newest
        times = sorted(set(newest.values()))
        assert all(one[:8] == times[0][:8] for one in times), newest
        self.references.append((self.day, times[-1], self.keep_reference()))
        self.status_is(status)
        assert self.control("state")["sessions"] == 0
        return text

    def status_is(self, status):
        """What status, its exit status and the metrics say right after a run."""
        text = self.command("status", "plan.toml", "--json", "--metrics")
        machines = {one["vm"]: one for one in json.loads(text)["machines"]}
        assert set(machines) == set(self.machines), text
        for one in machines.values():
            assert not one["running"], one
        owed = sum(d["owed"] or 0 for one in machines.values() for disk in one["disks"] for d in disk["destinations"])
        assert (owed > 0) == (status == 3), (status, owed)
        line = self.command("status", "plan.toml", "--monitor")
        assert line.startswith("OK: "), line  # by the age of the points
        with open("metrics/replica.prom", encoding="utf-8") as file:
            metrics = file.read()
        for name in self.machines:
            assert f'vm="{name}"' in metrics, metrics


def nights(week):
    week.start_dr()
    text = week.night()
    assert "3 of 3 machines are done" in text, text
    week.dr_equals()

    week.night()
    week.dr_equals()

    # The third is killed in its middle, and run again.
    week.day += 1
    week.guests_write()
    for moref in ("vm-1", "vm-2", "vm-3"):
        week.control("write", week.random.randbytes(2 * M), vm=moref, disk=2000, offset=M)
    process = week.begin("run", "plan.toml", "--build", BUILD)
    wait_until(lambda: partial_images() or process.poll() is not None)
    kill_all(process)
    assert week.points()  # what list shows is right at that moment, too: it is restored below
    complete = {key: times[-1] for key, times in week.points().items()}
    week.again()
    assert all(week.points()[key][-1] >= complete[key] for key in complete)
    week.dr_equals()

    # The DR server is away.
    week.stop_dr()
    text = week.night(status=3)
    assert "dr" in text, text
    week.start_dr()

    # It is back; CBT of the database was reset.
    week.control("reset", vm="vm-2", disk=2000)
    week.night()
    week.dr_equals()
    newest = newest_point(week, "db", 2000)
    assert newest["chain"] == 1 and newest["parent"] == "", newest
    assert newest_point(week, "mail", 2000)["chain"] == 5, newest_point(week, "mail", 2000)

    # A disk is added.
    new_disk("mail", 2001)
    week.control("disk", vm="vm-3", key=2001, file=os.path.abspath(live("mail", 2001)))
    week.machines["mail"][1].append(2001)
    week.night()
    week.dr_equals()

    # One has grown, and the DR server's copy of it with it.
    week.control("grow", vm="vm-1", disk=2001, size=6 * M)
    os.truncate("dr/web-2001", 6 * M)
    week.night()
    week.dr_equals()


def partial_images():
    return [f for _, _, files in os.walk("images") for f in files if f.endswith(".partial")]


def newest_point(week, name, key):
    points = json.loads(week.command("list", "plan.toml", name, "--json"))
    return [one for one in points if one["disk"] == str(key)][-1]


def new_disk(name, key):
    with open(live(name, key), "wb") as file:
        file.truncate(4 * M)
        file.seek(M)
        file.write(os.urandom(M))
    subprocess.run(["truncate", "-s", str(4 * M), f"dr/{name}-{key}"], check=True)


def restores(week):
    for _, when, reference in week.references:
        week.restore_equals(when, reference)
    text = week.command("verify", "plan.toml", "--all", "--build", BUILD)
    print(text)


def prunes(week, kills):
    """Killed at random instants: what list shows is right, and the next one finishes."""
    kept = [week.references[-1], week.references[-2]]
    shutil.copytree("images", "images.saved", symlinks=True)
    begin = time.monotonic()
    week.command("prune", "plan.toml")
    took = time.monotonic() - begin
    check_kept(week, kept)
    for _ in range(kills):
        shutil.rmtree("images")
        shutil.copytree("images.saved", "images", symlinks=True)
        process = week.begin("prune", "plan.toml")
        time.sleep(week.random.uniform(0.1, 1.0) * took)
        kill_all(process)
        shown = {when for times in week.points().values() for when in times}
        for _, when, reference in week.references:
            if when in shown:
                restore_what_is_shown(week, when, reference)
        week.command("prune", "plan.toml")
        check_kept(week, kept)
    week.restore_equals(kept[0][1], kept[0][2])
    # Runs go on after it.
    week.night()
    week.restore_equals(week.references[-1][1], week.references[-1][2])


def restore_what_is_shown(week, when, reference):
    """The points of that time, each disk alone: others of the machine may be gone."""
    for (name, key), times in week.points().items():
        for one in times:
            if one[:8] == when[:8] and os.path.exists(f"{reference}/{name}-{key}"):
                image = f"images/{name}/{key}-{one}.qcow2"
                compare(f"{reference}/{name}-{key}", image)


def check_kept(week, kept):
    """The two last points of each disk are there; and not more than one besides, which what is kept lies on."""
    for (name, key), times in week.points().items():
        days = {one[:8] for one in times}
        wanted = {when[:8] for _, when, reference in kept if os.path.exists(f"{reference}/{name}-{key}")}
        assert wanted <= days, (name, key, times)
        assert len(times) <= 3, (name, key, times)
    for _, when, reference in kept:
        restore_what_is_shown(week, when, reference)


if __name__ == "__main__":
    the_week = Week()
    nights(the_week)
    restores(the_week)
    prunes(the_week, int(os.environ.get("PRUNE_KILLS", "4")))
