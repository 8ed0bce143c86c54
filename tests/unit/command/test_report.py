# SPDX-License-Identifier: BSD-3-Clause
"""What is told of a run: events, views, records, what is owed."""
import asyncio
import concurrent.futures
import contextlib
import dataclasses
import errno
import fcntl
import io
import json
import os
import sys
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate.composition.commands import StatisticsFiles  # noqa: E402
from nbdkit_replicate.contract import data_bytes, delta_bytes, reason_for_owing  # noqa: E402
from nbdkit_replicate.messages import Level, Message, Subject, about, messages_to, say, warn  # noqa: E402
from nbdkit_replicate.programs.errors import Errors  # noqa: E402
from nbdkit_replicate.programs.source import DiskFacts, SourceDescription  # noqa: E402
from nbdkit_replicate.report import records, text, view, watch  # noqa: E402
from nbdkit_replicate.report.events import (DestinationProgress, DiskExamined, DiskProgress, DisksFound,  # noqa: E402
                                            Progressed, RunBegun, Stage, StageReached, Stalled)
from nbdkit_replicate.report.json_lines import JsonView  # noqa: E402
from nbdkit_replicate.report.recorder import Recorder  # noqa: E402
from nbdkit_replicate.report.records import DiskRecord, RunRecord  # noqa: E402
from nbdkit_replicate.report.run import RunReport  # noqa: E402
from nbdkit_replicate.run.result import behind, owed_by_destination  # noqa: E402
from nbdkit_replicate.statistics import ApplyStatistics, FanoutStatistics, coalesce_read  # noqa: E402
from test_command import InDirectory, disk, write_state  # noqa: E402

MIB = 1 << 20
FACTS = DiskFacts(64 * MIB, 40 * MIB, SourceDescription(True, "c0", "c1"), 30 * MIB)
PROGRESS = DiskProgress(10 * MIB, 40 * MIB, 2.0 * MIB, 15.0,
                        (DestinationProgress("dr", 5 * MIB, 3 * MIB, 1.0 * MIB, 3.0, False),))


def write(path, words):
    with open(path, "w", encoding="utf-8") as file:
        file.write(words)


def apply_stats(arrived, written=0, zeroed=0, delta=40 * MIB):
    write("apply", f"# HELP nbdkit_apply_delta_bytes X.\nnbdkit_apply_delta_bytes {delta}\n"
          f"nbdkit_apply_covered_bytes {arrived}\nnbdkit_apply_written_bytes_total {written}\n"
          f"nbdkit_apply_zeroed_bytes_total {zeroed}\n")


def fanout_stats(**owed):
    lines = []
    for metric, value in ("bytes_total", 5), ("zero_bytes_total", 2), ("copied_bytes_total", 4), ("in_sync", 1):
        lines += [f'nbdkit_fanout_{metric}{{destination="{name}"}} {value}' for name in owed]
    lines += [f'nbdkit_fanout_owed_bytes{{destination="{name}"}} {count}' for name, count in owed.items()]
    write("fanout", "\n".join(lines) + "\n")


class Statistics(InDirectory):
    def test_files_that_are_not_there_yet(self):
        self.assertEqual(ApplyStatistics.read("none"), ApplyStatistics())
        self.assertEqual(FanoutStatistics.read("none"), [])
        self.assertEqual(coalesce_read("none"), 0)

    def test_numbers(self):
        apply_stats(7, 4, 3, 9)
        self.assertEqual(ApplyStatistics.read("apply"), ApplyStatistics(9, 7, 4, 3))
        fanout_stats(dr=8, cloud=0)
        # What is copied to catch up is among what is written.
        self.assertEqual(FanoutStatistics.read("fanout"), [FanoutStatistics("dr", 7, 8, True),
                                                           FanoutStatistics("cloud", 7, 0, True)])
        write("coalesce", "nbdkit_coalesce_bytes_total 3\nnbdkit_coalesce_plugin_bytes_total 12\n")
        self.assertEqual(coalesce_read("coalesce"), 12)

    def test_names_that_are_quoted(self):
        write("fanout", r'nbdkit_fanout_owed_bytes{destination="a \"b\" \\n\nc"} 5' + "\n")
        self.assertEqual(FanoutStatistics.read("fanout")[0].name, 'a "b" \\n\nc')

    def test_what_is_read_is_what_is_not_zero(self):
        sizes = {0: 1, 1: 2, 2: 4, 3: 8}
        self.assertEqual((delta_bytes(sizes), data_bytes(sizes)), (7, 3))


class Owed(InDirectory):
    """What further destinations are owed after a run."""

    def copy(self):
        copy = disk()
        also = tuple(mock.Mock(uri=f"nbd://{name}", parameters=(f"fanout-name={name}",)) for name in ("dr", "cloud"))
        return dataclasses.replace(copy, also=also)

    def owed(self, name, count):
        os.makedirs("state.fanout", exist_ok=True)
        write_state(f"state.fanout/{name}.json", [[0, count]] if count else [])
        with open(f"state.fanout/{name}.json", encoding="ascii") as file:
            fields = json.load(file)
        write(f"state.fanout/{name}.json", json.dumps({**fields, "destination": name}))

    def setUp(self):
        super().setUp()
        write_state("state")

    def test_statistics_that_are_older_than_the_file(self):
        # A server that was killed: it has written no statistics since its start, when nothing was owed.
        fanout_stats(dr=0, cloud=0)
        self.owed("dr", 5 * MIB)
        self.owed("cloud", 0)
        self.assertEqual(owed_by_destination(self.copy(), "fanout"), {"dr": 5 * MIB, "cloud": 0})

    def test_without_statistics_the_files_tell_and_without_both_the_whole_disk_is_owed(self):
        self.owed("dr", 0)
        self.assertEqual(owed_by_destination(self.copy(), "none"), {"dr": 0, "cloud": 4096})

    def test_files_of_others_do_not_count(self):
        for name, count in ("dr", 0), ("cloud", 0), ("given-up", 7):
            self.owed(name, count)
        self.assertEqual(owed_by_destination(self.copy(), "none"), {"dr": 0, "cloud": 0})

    def test_message(self):
        reasons = {"dr": "cannot connect: Connection refused"}
        said = behind({"dr": MIB, "near": 0, "cloud": 2 * MIB}, lambda name: reasons.get(name, ""))
        self.assertEqual(said, "dr is owed 1.0 MiB: cannot connect: Connection refused; cloud is owed 2.0 MiB; run the same "
                               "command again to send it")
        self.assertEqual(behind({"dr": 0}, lambda name: "x"), "")

    def test_reason_that_the_filter_gives(self):
        end = "7 bytes are owed; saved in /s/dr.json: run it again with the same fanout-state to have them copied"
        self.assertEqual(reason_for_owing(f"dr: cannot connect: no; {end}"), "dr: cannot connect: no")
        self.assertEqual(reason_for_owing(f"dr: {end}"), "dr")
        self.assertIsNone(reason_for_owing("dr: detached, the other destinations continue; 7 bytes are owed, trying again"))

    def test_reason_is_not_shown_as_well(self):
        async def run():
            errors = Errors("destination")
            errors._line(b"nbdkit: error: dr: no route; 7 bytes are owed; saved in /s/dr.json: run it again with the same "
                         b"fanout-state to have them copied")
            return errors
        with contextlib.redirect_stderr(io.StringIO()) as shown:
            errors = asyncio.run(run())
            errors.close()
        self.assertEqual((shown.getvalue(), errors.reasons), ("", ["dr: no route"]))


class Messages(unittest.TestCase):
    def lines(self, call):
        with contextlib.redirect_stderr(io.StringIO()) as shown:
            call()
        return shown.getvalue()

    def test_what_it_is_about_is_known_in_tasks_and_callbacks(self):
        async def disk_task(name):
            with about(disk=name):
                await asyncio.sleep(0)
                asyncio.get_running_loop().call_soon(say, "later")
                say("now")
                await asyncio.sleep(0)

        async def run():
            with about(vm="web1", vm_shown=True):
                await asyncio.gather(*map(disk_task, ("2000", "2001")))
                say("end")
        self.assertEqual(self.lines(lambda: asyncio.run(run())).splitlines(), [
            "nbdkit-replicate: web1: disk 2000: now", "nbdkit-replicate: web1: disk 2001: now",
            "nbdkit-replicate: web1: disk 2000: later", "nbdkit-replicate: web1: disk 2001: later",
            "nbdkit-replicate: web1: end"])

    def test_nothing_that_a_terminal_obeys(self):
        line = self.lines(lambda: say("a \x1b[31mred\r\n disk\x07 \udc80 ä", of=Subject("", "\x1b]0;x")))
        self.assertEqual(line, "nbdkit-replicate: disk \\x1b]0;x: a \\x1b[31mred\\r\\n disk\\x07 \\udc80 ä\n")

    def test_warnings_say_so_once(self):
        self.assertEqual(self.lines(lambda: warn("x")), "nbdkit-replicate: warning: x\n")
        self.assertEqual(self.lines(lambda: warn("source: warning: x")), "nbdkit-replicate: source: warning: x\n")

    def test_what_a_server_goes_on_after_is_a_warning(self):
        async def run():
            with about(disk="7"):
                errors = Errors("destination")
            errors._line(b"nbdkit: error: dr: no route: detached, the other destinations continue; 5 bytes are owed")
            errors._line(b"nbdkit: error: it is torn")
            errors.close()
        said = []
        with messages_to(said.append):
            asyncio.run(run())
        self.assertEqual([(m.level, m.subject.disk) for m in said], [(Level.WARNING, "7"), (Level.ERROR, "7")])


class Records(InDirectory):
    def record(self, result="done", **fields):
        return RunRecord("web1", "20260101T000000Z", 1.0, 2.0, result, disks=(DiskRecord("2000", "a.qcow2", **fields),))

    def test_what_is_written_is_read(self):
        record = self.record(sent={"": 5, "dr ä": 6}, owed={"": 0}, cause="x")
        records.write_record("20260101T000000Z.json", record)
        self.assertEqual(records.read_record("20260101T000000Z.json"), record)
        self.assertEqual(os.listdir(), ["20260101T000000Z.json"])
        self.assertEqual(os.stat("20260101T000000Z.json").st_mode & 0o777, 0o600)

    def test_order_names_and_what_is_no_record(self):
        for time in "20260101T000000Z", "20251231T000000Z":
            records.write_record(records.new_record(".", time), self.record())
        for _ in range(11):
            records.write_record(records.new_record(".", "20260101T000000Z"), self.record())
        write("20260102T000000Z.json", "{")
        write("20260102T000001Z.json", '{"nbdkit-replicate-run": 2}')
        write("20260102T000002Z.json.tmp-1", "{}")
        names = [os.path.basename(path) for path in records.record_files(".")]
        self.assertEqual(names[2:4], ["20260101T000000Z-12.json", "20260101T000000Z-11.json"])
        self.assertEqual(names[-2:], ["20260101T000000Z.json", "20251231T000000Z.json"])
        self.assertEqual(len(list(records.read_records("."))), 13)
        self.assertEqual(records.record_files("none"), [])

    def test_runs_that_begin_at_the_same_time_have_a_record_each(self):
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            names = list(threads.map(lambda _: records.new_record(".", "20260101T000000Z"), range(40)))
        self.assertEqual(len(set(names)), 40)
        self.assertEqual(list(records.read_records(".")), [])  # none says anything yet

    def test_fields_of_later_versions_do_not_matter(self):
        records.write_record("20260101T000000Z.json", self.record())
        with open("20260101T000000Z.json", encoding="utf-8") as file:
            fields = json.load(file)
        fields["disks"][0]["new"] = fields["new"] = 1
        write("20260101T000000Z.json", json.dumps(fields))
        self.assertEqual(records.read_record("20260101T000000Z.json"), self.record())

    def test_only_so_many_are_kept(self):
        with mock.patch.object(records, "KEPT", 3):
            for day in range(1, 6):
                records.write_record(f"2026010{day}T000000Z.json", self.record())
        self.assertEqual(sorted(os.listdir()), [f"2026010{day}T000000Z.json" for day in (3, 4, 5)])

    def test_a_record_that_cannot_be_written_leaves_the_old_one(self):
        records.write_record("20260101T000000Z.json", self.record("behind"))
        with mock.patch("os.fsync", side_effect=OSError(5, "Input/output error")), self.assertRaises(OSError):
            records.write_record("20260101T000000Z.json", self.record())
        self.assertEqual(records.read_record("20260101T000000Z.json").result, "behind")
        self.assertEqual(os.listdir(), ["20260101T000000Z.json"])

    def test_directory(self):
        os.mkdir("states")
        for state, directory in ("states", "states/runs"), ("new/", "new/runs"), ("web1.state", "web1.state.runs"):
            self.assertEqual(records.records_directory(state), directory)


class OneRun(InDirectory):
    def test_record_of_a_run(self):
        report = RunReport("web1", [Recorder("runs")])
        with report.running():
            begun, = records.read_records("runs")
            self.assertEqual((begun.result, begun.ended, begun.vm), ("running", None, "web1"))
            self.assertTrue(records.is_running("runs"))
            report.found(["2000"])
            one = report.disk("2000")
            with one.running():
                one.examined(FACTS)
                one.ended("behind", "dr is owed 1.0 MiB", {"": 0, "dr": MIB})
            report.ended("behind")
        record, = records.read_records("runs")
        self.assertEqual((record.result, record.cause), ("behind", "disk 2000: dr is owed 1.0 MiB"))
        self.assertEqual((record.disks[0].size, record.disks[0].full, record.disks[0].checkpoint), (64 * MIB, False, "c1"))
        self.assertFalse(records.is_running("runs"))

    def test_a_run_that_raises(self):
        report = RunReport("web1", [Recorder("runs")])
        with self.assertRaises(ValueError), report.running():
            raise ValueError("no such vCenter")
        record, = records.read_records("runs")
        self.assertEqual((record.result, record.cause), ("incomplete", "no such vCenter"))
        self.assertFalse(records.is_running("runs"))

    def test_a_record_that_cannot_be_written_is_a_warning(self):
        said = []
        with messages_to(said.append), RunReport("web1", [Recorder("none/runs")]).running():
            pass
        self.assertEqual([m.level for m in said], [Level.WARNING])
        self.assertIn("none/runs", said[0].text)

    def test_asking_whether_a_run_is_under_way_keeps_none_from_beginning(self):
        self.assertFalse(records.is_running("none"))
        with records.run_under_way("."):
            self.assertTrue(records.is_running("."))
            with records.run_under_way("."):
                self.assertTrue(records.is_running("."))
            self.assertTrue(records.is_running("."))
        self.assertFalse(records.is_running("."))
        with open("lock", "rb") as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            with records.run_under_way("."):
                pass

    def test_who_may_only_read_can_ask_whether_a_run_is_under_way(self):
        def only_read(path, flags, *more):
            if flags & os.O_RDWR:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
            return opened(path, flags, *more)

        opened = os.open
        with records.run_under_way("."), mock.patch.object(os, "open", only_read):
            self.assertTrue(records.is_running("."))
        with mock.patch.object(os, "open", only_read):
            self.assertFalse(records.is_running("."))


class Watching(InDirectory):
    def setUp(self):
        super().setUp()
        self.now, self.events, self.said = 1000.0, [], []
        for patch in mock.patch.object(watch.time, "monotonic", lambda: self.now), mock.patch.object(watch, "FRESH", 1e6), \
                mock.patch.object(watch, "say", lambda text, *rest, **more: self.said.append(text)):
            patch.start()
            self.addCleanup(patch.stop)
        self.watch = watch.Watch("web1", "2000", FACTS, StatisticsFiles("apply", "fanout", "pull"), self.events.append,
                                 Subject())

    def look(self, after, arrived):
        self.now += after
        apply_stats(arrived)
        self.watch._look()
        return [e for e in self.events if isinstance(e, Progressed)][-1].progress

    def test_rate_and_time_left(self):
        self.assertEqual(self.look(0, 0).left, None)
        progress = self.look(2, 4 * MIB)
        self.assertEqual((progress.rate, progress.left, progress.percent), (2.0 * MIB, 18.0, 10.0))
        for _ in range(30):  # the rate is that of the last while
            progress = self.look(2, progress.bytes + MIB)
        self.assertEqual(progress.rate, MIB / 2)
        self.assertEqual(self.look(2, 40 * MIB).left, 0.0)

    def test_silence(self):
        self.look(0, MIB)
        self.assertEqual(self.watch.silent, 0)
        self.look(7, MIB)
        self.assertEqual(self.watch.silent, 7)
        self.look(1, 2 * MIB)
        self.assertEqual(self.watch.silent, 0)
        self.look(9, 40 * MIB)
        self.look(9, 40 * MIB)
        self.assertEqual(self.watch.silent, 0)  # everything is here: the client flushes, which may take long

    def test_no_silence_while_the_target_starts_or_the_figures_are_old(self):
        self.look(0, MIB)
        self.look(9, MIB)
        self.watch.ready()
        self.assertEqual(self.watch.silent, 0)
        self.look(9, MIB)
        self.assertEqual(self.watch.silent, 9)
        os.utime("apply", (1, 1))
        self.assertEqual(self.watch.silent, 0)
        os.unlink("apply")
        self.assertEqual(self.watch.silent, 0)

    def test_silence_after_the_copy(self):
        self.look(0, MIB)
        self.look(9, MIB)
        self.watch.copied()
        self.assertEqual(self.watch.silent, 0)

    def test_what_has_not_begun_counts_what_the_source_says(self):
        self.watch._look()
        self.assertEqual(self.events[-1].progress.total, 40 * MIB)

    def test_destinations(self):
        fanout_stats(dr=10)
        self.look(0, 0)
        fanout_stats(dr=5)
        of = self.look(1, 0).destinations[0]
        self.assertEqual((of.name, of.owed, of.sent, of.in_sync), ("dr", 5, 7, True))

    def test_silence_is_said_while_it_lasts_and_when_it_ends(self):
        self.look(0, 0)
        self.look(14, 0)
        self.assertEqual(self.said, [])
        self.look(2, 0)
        self.assertIn("nothing has been copied for 16 seconds", self.said[0])
        self.look(100, 0)
        self.assertEqual(len(self.said), 1)
        self.look(250, 0)
        self.assertEqual(len(self.said), 2)
        self.look(1, MIB)
        self.assertIn("it goes on, after 367 seconds", self.said[2])
        self.assertEqual([e.ended for e in self.events if isinstance(e, Stalled)], [False, False, True])
        self.look(14, MIB)
        self.assertEqual(len(self.said), 3)

    def test_after_the_client_there_is_no_silence(self):
        self.look(0, 0)
        self.watch.copied()
        self.look(100, 0)
        self.assertEqual(self.said, [])

    def test_what_was_sent_and_read(self):
        apply_stats(40 * MIB, 25 * MIB, 15 * MIB)
        fanout_stats(dr=0)
        self.assertEqual(self.watch.end(), {"sent": {"": 40 * MIB, "dr": 7}, "read": 30 * MIB})


class Views(unittest.TestCase):
    def feed(self, of, *events):
        for event in (RunBegun("web1"), DisksFound("web1", disks=("2000", "2001")), *events):
            of.board.receive(event)

    def test_lines_now_and_then(self):
        plain, said = view.PlainView(view.Style(several=True)), []
        with messages_to(said.append):
            plain.board.receive(RunBegun("web1"))
            machine = plain.board.machines["web1"]
            plain.say_due(machine, machine.since + 29)
            self.assertEqual(said, [])
            plain.say_due(machine, machine.since + 31)
            self.assertEqual(said.pop().line(), "nbdkit-replicate: web1: the source server starts")
            self.feed(plain, StageReached("web1", "2000", stage=Stage.COPYING), Progressed("web1", "2000", progress=PROGRESS))
            machine = plain.board.machines["web1"]
            now = machine.disks["2000"].since + 31
            for _ in range(2):  # only once in that time; the other disk waits
                plain.say_due(machine, now)
        self.assertEqual([m.line() for m in said], [
            "nbdkit-replicate: web1: disk 2000: 25%, 10.0 MiB of 40.0 MiB, 2.0 MiB/s, 15 s left; dr is owed 3.0 MiB, "
            "1.0 MiB/s"])

    def test_quiet(self):
        quiet = view.View(view.Style(quiet=True))
        with contextlib.redirect_stderr(io.StringIO()) as shown:
            for level in Level:
                quiet.print(Message(Subject(), level, level.value))
        self.assertEqual(shown.getvalue().split(), ["nbdkit-replicate:", "warning:", "warning", "nbdkit-replicate:", "error"])

    def test_which_view(self):
        def kind(terminal=True, **style):
            with mock.patch.object(sys.stderr, "isatty", lambda: terminal), mock.patch.dict(os.environ, {"TERM": "xterm"}):
                return type(view._make(view.Style(**style))).__name__
        self.assertEqual(kind(), "TerminalView")
        self.assertEqual(kind(terminal=False), "PlainView")
        self.assertEqual(kind(lines=5), "PlainView")
        self.assertEqual(kind(verbose=True), "PlainView")
        self.assertEqual(kind(quiet=True), "View")
        self.assertEqual(kind(json=True), "JsonView")
        with mock.patch.dict(sys.modules, {"rich.console": None, "nbdkit_replicate.report.terminal": None}):
            self.assertEqual(kind(), "PlainView")

    def test_json_lines(self):
        of = JsonView(view.Style(json=True))
        with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(io.StringIO()):
            of(RunBegun("web1", record=RunRecord("web1", "T", 1.0)))
            of(DisksFound("web1", disks=("2000",)))
            of(StageReached("web1", "2000", stage=Stage.COPYING))
            of(DiskExamined("web1", "2000", size=9, changed=8, full=True))
            of(Progressed("web1", "2000", progress=PROGRESS))
            of(Stalled("web1", "2000", seconds=3.0))
            of.print(Message(Subject("web1", "2000"), Level.WARNING, "line\nline"))
        lines = [json.loads(line) for line in output.getvalue().splitlines()]
        self.assertEqual([line["event"] for line in lines],
                         ["begin", "disks", "stage", "examined", "progress", "stall", "message"])
        self.assertEqual({key: lines[4][key] for key in ("vm", "disk", "stage", "status", "bytes", "total", "percent", "rate")},
                         {"vm": "web1", "disk": "2000", "stage": "copying", "status": "running", "bytes": 10 * MIB,
                          "total": 40 * MIB, "percent": 25.0, "rate": 2.0 * MIB})
        self.assertEqual(lines[4]["destinations"][0]["name"], "dr")

    def test_terminal(self):
        from rich.console import Console
        from nbdkit_replicate.report.terminal import TerminalView
        console = Console(file=io.StringIO(), width=80, force_terminal=False)
        of = TerminalView(view.Style(several=True), console)
        of.board.receive(RunBegun("db2"))
        self.feed(of, StageReached("web1", "2000", stage=Stage.COPYING), Progressed("web1", "2000", progress=PROGRESS))
        console.print(of.render())
        lines = console.file.getvalue().splitlines()
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertRegex(lines[0], r"^web1 2000 .* 25% +10\.0 MiB +2\.0 MiB/s +0:15$")
        self.assertRegex(lines[1], r"^  dr +owed 3\.0 MiB +5\.0 MiB +1\.0 MiB/s +0:03$")
        self.assertEqual([line.rstrip() for line in lines[2:]], ["db2: the source server starts", "1 more disk waits"])


class Text(unittest.TestCase):
    def test_sizes_and_times(self):
        self.assertEqual([text.size(n) for n in (0, MIB, 1023 * MIB, 1 << 30, 1 << 40, 1 << 50)],
                         ["0.0 MiB", "1.0 MiB", "1023.0 MiB", "1.0 GiB", "1.0 TiB", "1.0 PiB"])
        self.assertEqual([text.duration(s) for s in (0.25, 42, 600, 7200, 9000, 86400 * 3, 86400 * 3 + 3600)],
                         ["0.2 s", "42 s", "10 min", "2 h", "2 h 30 min", "3 d", "3 d 1 h"])
        self.assertEqual([text.clock(s) for s in (None, 5, 75, 3675, 1e9)], ["", "0:05", "1:15", "1:01:15", ""])

    def test_summary(self):
        record = DiskRecord("2000", "/b/a.qcow2", "c", False, 64 * MIB, 40 * MIB, 30 * MIB, {"": 40 * MIB, "dr": MIB}, {}, 4.0,
                            10.0 * MIB)
        self.assertEqual(text.summary(record), "64.0 MiB disk, 40.0 MiB changed, 30.0 MiB read, sent 40.0 MiB to a.qcow2, "
                                               "1.0 MiB to dr; 4.0 s, 10.0 MiB/s")
        run = RunRecord("web1", "T", 0.0, 8.0, "done", "", 33 * MIB, (record, record))
        self.assertEqual(text.totals(run), "2 disks: 128.0 MiB, 80.0 MiB to copy, 33.0 MiB read, 82.0 MiB sent; 8.0 s, "
                                           "10.2 MiB/s")
        failed = [RunRecord(vm, "T", 0.0, 8.0, result, cause) for vm, result, cause in
                  (("web2", "incomplete", "disk 7: torn"), ("web3", "behind", "disk 7: dr is owed 1.0 MiB"))]
        lines = text.of_machines([run, *failed])
        self.assertTrue(lines[0].startswith("1 of 3 machines are done: 2 disks, 80.0 MiB to copy"))
        self.assertEqual(lines[1:], ["web3 has a destination that is behind: disk 7: dr is owed 1.0 MiB",
                                     "web2 is not complete: disk 7: torn"])


if __name__ == "__main__":
    unittest.main()
