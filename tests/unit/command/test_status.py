# SPDX-License-Identifier: BSD-3-Clause
"""The verb status, metrics, and the dashboard."""
import asyncio
import contextlib
import datetime
import html.parser
import io
import json
import os
import re
import sys
import time
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from image_files import mark_data, write_image  # noqa: E402
from nbdkit_replicate.main import main  # noqa: E402
from nbdkit_replicate.plan.reading import read_plan  # noqa: E402
from nbdkit_replicate.points.machines import machines_of_plan  # noqa: E402
from nbdkit_replicate.report import records  # noqa: E402
from nbdkit_replicate.report.html import page  # noqa: E402
from nbdkit_replicate.report.metrics import METRICS, PREFIX, RESULTS, fresh_metrics, write_metrics  # noqa: E402
from nbdkit_replicate.report.records import DiskRecord, RunRecord, time_of  # noqa: E402
from nbdkit_replicate.report.status import (DestinationStatus, DiskStatus, Grade, MachineStatus, Report,  # noqa: E402
                                            Thresholds, worst)
from nbdkit_replicate.report.status_text import monitor  # noqa: E402
from test_command import InDirectory  # noqa: E402

HOUR, DAY, GIB = 3600.0, 86400.0, 1 << 30
NOW = time.time()  # of the import: tests may run a minute later


def write_state(path, owed=0, **more):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        json.dump({"nbdkit-replicate": 1, "checkpoint": "c", "source": "s", "vm": "", "disk": 1, "size": 80 * GIB,
                   "owed": [[0, owed]] if owed else [], **more}, file)


def write_run(directory, ago, result="done", disk="2000", owed=None, cause="", ended=True):
    os.makedirs(directory, exist_ok=True)
    began = NOW - ago
    disks = (DiskRecord(disk, "/b/a.qcow2", "c", False, 80 * GIB, GIB, GIB, {"": GIB, "dr": GIB}, owed or {"": 0, "dr": 0},
                        60.0, 1.0, result, cause),) if ended else ()
    record = RunRecord("web1", time_of(began), began, began + 90 if ended else None, result, cause, GIB, disks)
    records.write_record(records.new_record(directory, record.time), record)


def report(*machines):
    return Report(machines, Thresholds(26 * HOUR, 50 * HOUR), NOW)


def machine(age=None, destinations=(), **more):
    complete = None if age is None else NOW - age
    return MachineStatus("web1", (DiskStatus("2000", 80 * GIB, "", complete, 0, tuple(destinations)),), **more)


def begin_now():
    """The command knows what time it is: the tests before may have taken long."""
    global NOW  # pylint: disable=global-statement
    NOW = time.time()


def run_status(*words):
    """Returns the exit status, and what is written to standard output and standard error."""
    output, errors = io.StringIO(), io.StringIO()
    with mock.patch.object(sys, "argv", ["nbdkit-replicate", "status", *words]), contextlib.redirect_stdout(output), \
            contextlib.redirect_stderr(errors):
        status = main()
    return status, output.getvalue(), errors.getvalue()


class Grades(unittest.TestCase):
    def test_by_the_age_of_the_last_complete_point(self):
        for age, grade in ((0, Grade.OK), (25.9 * HOUR, Grade.OK), (26 * HOUR, Grade.WARNING), (50 * HOUR, Grade.CRITICAL)):
            self.assertEqual(report(machine(age)).overall, grade, age)

    def test_what_has_never_been_complete(self):
        self.assertEqual(report(machine()).overall, Grade.UNKNOWN)
        failed = RunRecord("web1", "T", NOW, NOW, "incomplete")
        self.assertEqual(report(machine(records=(failed,))).overall, Grade.CRITICAL)
        self.assertEqual(report(MachineStatus("new")).overall, Grade.UNKNOWN)
        self.assertEqual(report(MachineStatus("new", records=(failed,))).overall, Grade.CRITICAL)
        self.assertEqual(report().overall, Grade.UNKNOWN)

    def test_a_destination_that_is_behind(self):
        for owed, ago, grade in ((0, 90, Grade.OK), (5, 3, Grade.OK), (5, 30, Grade.WARNING), (5, 60, Grade.CRITICAL)):
            destination = DestinationStatus("dr", owed, NOW - ago * HOUR)
            self.assertEqual(report(machine(HOUR, [destination])).overall, grade, (owed, ago))
        for owed in 5, None:
            self.assertEqual(report(machine(HOUR, [DestinationStatus("dr", owed, None)])).overall, Grade.WARNING)

    def test_the_worst(self):
        self.assertEqual(worst([Grade.OK, Grade.UNKNOWN, Grade.WARNING, Grade.CRITICAL]), Grade.CRITICAL)
        self.assertEqual(worst([Grade.OK, Grade.UNKNOWN, Grade.WARNING]), Grade.WARNING)
        self.assertEqual(worst([Grade.OK, Grade.UNKNOWN]), Grade.UNKNOWN)

    def test_monitor(self):
        line = monitor(report(machine(HOUR, [DestinationStatus("dr", 0, NOW)])))
        self.assertEqual(line, "OK: 1 disks of 1 machines have a recent point | 'web1 disk 2000 age'=3600s;93600;180000;0 "
                               "'web1 disk 2000 owed'=0B;;;0")
        bad = DiskStatus("it's|\n=", 0, "", NOW - 60 * HOUR)
        line = monitor(report(machine(30 * HOUR), MachineStatus("db|1", (bad,))))
        self.assertTrue(line.startswith("CRITICAL: db/1 disk it's/\\n=: the last complete point is 2 d 12 h old; web1 disk"))
        self.assertEqual(line.count("|"), 1)
        self.assertIn("'db/1 disk it''s/\\n_ age'=216000s;93600;180000;0", line)


class OfRunsByOptions(InDirectory):
    def setUp(self):
        super().setUp()
        begin_now()
        write_state("states/2000.state")
        write_state("states/2000.state.fanout/dr.json", GIB, destination="dr")
        write_run("states/runs", 30 * HOUR)
        write_run("states/runs", 2 * HOUR, "behind", owed={"": 0, "dr": GIB}, cause="disk 2000: dr is owed 1024.0 MiB")

    def test_people(self):
        status, output, _ = run_status("--state", "states/")
        self.assertEqual(status, 1)
        lines = output.splitlines()
        self.assertRegex(lines[1], r"^WARNING  web1  2000  \d{4}-\d\d-\d\d \d\d:\d\d  2 h(?: \d min)?  dr: owed 1\.0 GiB$")
        self.assertRegex(lines[2], r"^web1: last run .*: done, but a destination is behind: disk 2000: dr is owed 1024\.0 MiB$")

    def test_json(self):
        status, output, _ = run_status("--state", "states", "--json", "--stale-after", "40h")
        self.assertEqual(status, 0)
        one, = json.loads(output)["machines"]
        self.assertEqual((one["vm"], one["running"], one["last_run"]["result"]), ("web1", False, "behind"))
        disk, = one["disks"]
        self.assertAlmostEqual(disk["age"], 2 * HOUR, delta=600)
        self.assertEqual(disk["destinations"], [{"name": "dr", "owed": GIB, "complete": NOW - 30 * HOUR}])

    def test_destinations_whose_directory_is_the_users_own(self):
        os.rename("states/2000.state.fanout", "elsewhere")
        status, output, _ = run_status("--state", "states/")
        self.assertEqual(status, 1)
        self.assertRegex(output.splitlines()[1], r"^WARNING  web1  2000  .*  dr: owed 1\.0 GiB$")
        write_run("states/runs", HOUR, owed={"": 0, "dr": 0})
        self.assertEqual(run_status("--state", "states/")[0], 0)
        write_run("states/runs", HOUR / 2, "incomplete", owed={})
        self.assertIn('"dr"', run_status("--state", "states/", "--json")[1])

    def test_a_run_under_way_and_one_that_was_killed(self):
        write_run("states/runs", HOUR, "running", ended=False)
        with records.run_under_way("states/runs"):
            one, = json.loads(run_status("--state", "states", "--json")[1])["machines"]
            self.assertEqual((one["running"], one["last_run"]["result"]), (True, "behind"))
            self.assertRegex(run_status("--state", "states")[1], r"web1: a run is under way, for 6\d min")
        one, = json.loads(run_status("--state", "states", "--json")[1])["machines"]
        self.assertEqual((one["running"], one["last_run"]["result"]), (False, "killed"))
        self.assertIn("killed: the run was killed", run_status("--state", "states")[1])

    def test_a_run_of_a_time_to_come_is_the_last_but_in_name(self):
        write_run("states/runs", -300 * DAY)
        one, = json.loads(run_status("--state", "states", "--json")[1])["machines"]
        self.assertEqual(one["last_run"]["result"], "behind")
        self.assertEqual((one["disks"][0]["complete"], one["disks"][0]["fault"]), (NOW - 2 * HOUR, None))
        write_state("other/2000.state")
        write_run("other/runs", -300 * DAY)
        status, output, _ = run_status("--state", "other/", "--monitor")
        self.assertEqual(status, 1)
        self.assertIn("the last complete run is as of a time to come", output)

    def test_a_single_state_file(self):
        write_state("web1.state")
        write_run("web1.state.runs", HOUR, disk="")
        status, output, _ = run_status("--state", "web1.state", "--monitor")
        self.assertEqual(status, 0)
        self.assertIn("'web1 age'=36", output)

    def test_nothing_is_changed(self):
        before = sorted(os.walk("."))
        run_status("--state", "states/", "--json")
        self.assertEqual(sorted(os.walk(".")), before)

    def test_a_state_that_cannot_be_read_is_told(self):
        with open("states/2000.state.fanout/dr.json", "w", encoding="ascii") as file:
            file.write("nonsense")
        status, output, _ = run_status("--state", "states/")
        self.assertEqual(status, 1)
        self.assertIn("web1 disk 2000: states/2000.state.fanout/dr.json is not a usable state file", output)

    def test_a_disk_that_clients_have_written_to_is_told(self):
        write_state("states/2000.state", pull="unchanged")
        self.assertNotIn("clients have written", run_status("--state", "states/")[1])
        write_state("states/2000.state", pull="written")
        status, output, _ = run_status("--state", "states/", "--stale-after", "3h")
        self.assertEqual(status, 1)
        self.assertIn("web1 disk 2000: clients have written to it: it is no replica any more (states/2000.state)", output)
        self.assertIn("clients have written to it", run_status("--state", "states/", "--monitor")[1])

    def test_wrong_use(self):
        for words in ((), ("plan", "--state", "s"), ("--state", "states/", "--metrics")):
            self.assertEqual(run_status(*words)[0], 2, words)

    def test_a_monitor_that_cannot_find_out_says_unknown(self):
        status, output, errors = run_status("none.toml", "--monitor")
        self.assertEqual((status, errors), (3, ""))
        self.assertTrue(output.startswith("UNKNOWN: cannot read the plan none.toml: "), output)


PLAN = """
images = "images/{vm}/{disk}-{time}.qcow2"
states = "states/{vm}/"
metrics = "collected/all.prom"
[vcenter.away]
server = "192.0.2.1"
user = "u"
password-file = "none"
[[vm]]
name = "web1"
vcenter = "away"
path = "/DC0/vm/web1"
also = [{ uri = "nbd://dr/web1-{disk}", parameters = ["fanout-name=dr"] }]
[[folder]]
vcenter = "away"
path = "/DC0/vm/All"
"""


class OfAPlan(InDirectory):
    """The vCenter of the plan cannot be reached."""

    def setUp(self):
        super().setUp()
        begin_now()
        with open("nightly.toml", "w", encoding="utf-8") as file:
            file.write(PLAN)
        for number, vm in (1, "web1"), (2, "in-folder"):
            os.makedirs(f"images/{vm}")
            write_state(f"states/{vm}/2000.state")
            write_image(f"images/{vm}/2000-{time_of(NOW - 3 * HOUR)}.qcow2", mark_data(number, 0, 2, b"c"), "")
            # A later one that is not complete.
            write_image(f"images/{vm}/2000-{time_of(NOW - HOUR)}.qcow2.partial", mark_data(number + 4, number, 1, b""), "")
        os.mkdir("collected")

    def test_points_are_told_by_the_images(self):
        status, output, errors = run_status("nightly.toml", "--json")
        self.assertEqual(errors, "")
        machines = {one["vm"]: one for one in json.loads(output)["machines"]}
        self.assertEqual(sorted(machines), ["in-folder", "web1"])
        for one in machines.values():
            disk, = one["disks"]
            self.assertAlmostEqual(disk["complete"], NOW - 3 * HOUR, delta=1.0)
        self.assertEqual(status, 1)
        self.assertEqual(machines["in-folder"]["status"], "OK")
        self.assertEqual(machines["web1"]["disks"][0]["destinations"], [{"name": "dr", "owed": None, "complete": None}])
        self.assertEqual(run_status("nightly.toml", "in-folder", "--monitor")[0], 0)
        self.assertEqual(run_status("nightly.toml", "none")[0], 2)

    def test_a_point_of_a_time_to_come(self):
        def point(ago):
            name = f"2000-{time_of(NOW - ago)}.qcow2"
            write_image(f"images/in-folder/{name}", mark_data(9, 0, 2, b"c"), "")
            return name

        later = point(-300 * DAY)
        status, output, _ = run_status("nightly.toml", "in-folder", "--json")
        disk, = json.loads(output)["machines"][0]["disks"]
        self.assertEqual((status, disk["status"]), (1, "WARNING"))
        self.assertAlmostEqual(disk["complete"], NOW - 3 * HOUR, delta=1.0)
        self.assertEqual(disk["fault"], f"{later} is as of a time to come: the clock was wrong, or is now")
        self.assertIn(f"in-folder disk 2000: {later} is as of", run_status("nightly.toml", "in-folder")[1])
        ages = "--monitor", "--stale-after", "1h", "--critical-after", "2h"
        status, output, _ = run_status("nightly.toml", "in-folder", *ages)
        self.assertEqual(status, 2)
        self.assertRegex(output, r"^CRITICAL: .*: the last complete point is 3 h.* old; .*to come.* disk 2000 age'=1\d{4}s")
        os.remove(f"images/in-folder/2000-{time_of(NOW - 3 * HOUR)}.qcow2")
        status, output, _ = run_status("nightly.toml", "in-folder", *ages)
        self.assertEqual(status, 1)
        self.assertIn(later, output)
        os.remove(f"images/in-folder/{later}")
        point(-60)  # clocks differ
        self.assertEqual(run_status("nightly.toml", "in-folder", *ages)[0], 0)

    def test_metrics_of_two_machines(self):
        write_run("states/web1/runs", 3 * HOUR)
        self.assertEqual(run_status("nightly.toml", "--metrics")[0], 1)
        self.assertEqual(os.listdir("collected"), ["all.prom"])
        self.assertEqual(os.stat("collected/all.prom").st_mode & 0o777, 0o644)
        with open("collected/all.prom", encoding="utf-8") as file:
            lines = [line for line in file.read().splitlines() if not line.startswith("#")]
        names = [line.rpartition(" ")[0] for line in lines]
        self.assertEqual(len(names), len(set(names)))
        self.assertIn(f'{PREFIX}owed_bytes{{destination="dr",disk="2000",plan="nightly",vm="web1"}}', names)
        self.assertIn(f'{PREFIX}running{{plan="nightly",vm="in-folder"}} 0.0', lines)
        self.assertIn(f'{PREFIX}run_result{{plan="nightly",result="done",vm="web1"}} 1.0', lines)
        self.assertEqual({name.partition("{")[0] for name in names}, {PREFIX + name for name in METRICS})

    def test_metrics_are_fresh_during_a_run(self):
        def running():
            with open("collected/all.prom", encoding="utf-8") as file:
                return f'{PREFIX}running{{plan="nightly",vm="web1"}} 1.0' in file.read()

        async def run():
            async with fresh_metrics(read_plan("nightly.toml"), lambda: machines_of_plan("nightly.toml"), 0.01):
                with records.run_under_way("states/web1/runs"):
                    while not (os.path.exists("collected/all.prom") and running()):
                        await asyncio.sleep(0.01)
            self.assertFalse(running())
        os.mkdir("states/web1/runs")
        asyncio.run(asyncio.wait_for(run(), 60))

    def test_metrics_that_cannot_be_written_are_told_once(self):
        os.rmdir("collected")

        async def run():
            plan, tried = read_plan("nightly.toml"), []

            def machines():
                tried.append(True)
                return machines_of_plan("nightly.toml")
            async with fresh_metrics(plan, machines, 0.01):
                while len(tried) < 4:
                    await asyncio.sleep(0.01)
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            asyncio.run(asyncio.wait_for(run(), 60))
        self.assertEqual(errors.getvalue().count("collected/all.prom: No such file"), 1, errors.getvalue())

    def test_without_the_library(self):
        with mock.patch.dict(sys.modules, {"prometheus_client": None}):
            status, _, errors = run_status("nightly.toml", "--metrics")
        self.assertEqual(status, 1)
        self.assertEqual(errors.count("\n"), 1)
        self.assertIn("install python3-prometheus-client", errors)


class Metrics(InDirectory):
    def test_names_that_no_file_of_metrics_can_hold(self):
        write_metrics("m", [MachineStatus('a"\\\n\udc80', (DiskStatus("ä"),))], "p")
        with open("m", encoding="utf-8") as file:
            self.assertIn(r'vm="a\"\\\n?"', file.read())


class Page(InDirectory):
    NAME = '<script>alert("1")</script>&\x1b'

    def test_names_are_text_and_nothing_comes_from_elsewhere(self):
        disk = DiskStatus(self.NAME, GIB, "", NOW - HOUR, 0, (DestinationStatus(self.NAME, 5, NOW - 90 * HOUR),), self.NAME)
        last = RunRecord(self.NAME, "T", NOW - HOUR, NOW, "incomplete", self.NAME, 0, (DiskRecord("x", changed=5),))
        text = page(report(MachineStatus(self.NAME, (disk,), False, (last,))), self.NAME)
        tags, shown = [], []

        class Parser(html.parser.HTMLParser):
            def handle_starttag(self, tag, attrs):
                tags.append(tag)
                for name, value in attrs:
                    assert name not in ("src", "href", "onload"), (name, value)

            def handle_data(self, data):
                shown.append(data)
        Parser().feed(text)
        self.assertNotIn("script", tags)
        self.assertIn("svg", tags)
        visible = self.NAME.replace("\x1b", "\\x1b")
        self.assertGreaterEqual(sum(visible in part for part in shown), 6)
        self.assertNotIn("\x1b", text)
        self.assertNotRegex(text, r"https?:|@import|url\(")

    def test_nights(self):
        # A night belongs to a day of the calendar, and not every day has 24 hours.
        noon = datetime.datetime.fromtimestamp(NOW).replace(hour=12)
        times = {day: (noon - datetime.timedelta(days=day)).timestamp() for day in (0, 2, 29, 30, 400)}
        runs = tuple(RunRecord("web1", "T", times[day], NOW, "incomplete" if day == 2 else "done", "", 0,
                               (DiskRecord("2000", changed=GIB * (day + 1)),)) for day in (0, 2, 29, 30, 400))
        text = page(Report((machine(HOUR, records=runs),), Thresholds(26 * HOUR, 50 * HOUR), noon.timestamp()), "")
        self.assertEqual(len(re.findall("<rect", text)), 3)
        self.assertEqual(len(re.findall('<rect class="bad"', text)), 1)
        self.assertIn("30.0 GiB</text>", text)

    def test_nothing_yet(self):
        self.assertIn("nothing has been copied yet", page(report(MachineStatus("new")), "p"))
        self.assertIn("0 machines", page(report(), "p"))


class Dashboard(unittest.TestCase):
    def test_each_metric_exists_with_its_labels(self):
        with open(os.path.join(os.environ["SOURCE"], "scripts/grafana/dashboard.json"), encoding="utf-8") as file:
            board = json.load(file)
        asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        asked += [variable["query"]["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]
        used = set()
        for expression in asked:
            found = re.findall(PREFIX + r"(\w+)(?:\{([^}]*)\})?", expression)
            self.assertTrue(found, expression)
            for name, labels in found:
                self.assertIn(name, METRICS, expression)
                used.add(name)
                for label in re.findall(r"(\w+)[!=]", labels):
                    self.assertIn(label, METRICS[name].labels, expression)
        self.assertEqual(used | {"disk_size_bytes", "run_timestamp_seconds"}, set(METRICS))
        self.assertIn('result="done"', "".join(asked))
        self.assertIn("done", RESULTS)


if __name__ == "__main__":
    unittest.main()
