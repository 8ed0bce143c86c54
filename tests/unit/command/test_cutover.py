# SPDX-License-Identifier: BSD-3-Clause
"""Cutover: predictions, convergence, the journal and --at. Nothing is started."""
import argparse
import asyncio
import contextlib
import dataclasses
import datetime
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from types import SimpleNamespace
from unittest import mock

from nbdkit_replicate.composition.replication import Module
from nbdkit_replicate.cutover import connected, convergence, deciding, handover, power, pull_state, pulling, serving
from nbdkit_replicate.cutover.connected import clients_of
from nbdkit_replicate.cutover.context import Context, Options
from nbdkit_replicate.cutover.cutover import Cutover
from nbdkit_replicate.cutover.journal import Journal, Round, Step, check_no_cutover, path_of, read_journal, write_journal
from nbdkit_replicate.cutover.moments import moment_of
from nbdkit_replicate.cutover.overlays import take_away
from nbdkit_replicate.cutover.power import watched
from nbdkit_replicate.cutover.prediction import overhead, predict, rate, worst_error, writing
from nbdkit_replicate.cutover.verification import _blocks, _requests
from nbdkit_replicate.many.planned_run import PlannedRun
from nbdkit_replicate.messages import Failure, Refused, WrongUse
from nbdkit_replicate.plan.plan import Limits, Machine
from nbdkit_replicate.programs.directory import RunDirectory
from nbdkit_replicate.programs.server import Server
from nbdkit_replicate.report.records import time_of
from nbdkit_replicate.report.run import RunReport
from nbdkit_replicate.run.interruption import Interruption
from nbdkit_replicate.run.result import Result
from nbdkit_replicate.vcenter.machine import Power, State
from nbdkit_replicate.verbs.cutover import _journal

M = 1 << 20


def rounds_of(*changed, cost=2.0, speed=10 * M, first=0.0, **fields):
    """One right after the other; each takes what it costs and copies with that speed."""
    result, now = [], first
    for count in changed:
        copying = count / speed
        result.append(Round(f"t{len(result)}", now, now + 0.5, cost + copying, copying, count, False, data=count, **fields))
        now += cost + copying
    return result


class Predictions(unittest.TestCase):
    def test_a_round_like_the_last_one(self):
        rounds = rounds_of(100 * M, 40 * M)
        self.assertAlmostEqual(rate(rounds), 10 * M)
        self.assertAlmostEqual(overhead(rounds), 2.0)
        # 40 MiB have changed in the 12 seconds from the first round's instant to that of the second.
        self.assertAlmostEqual(writing(rounds), 40 * M / 12)
        found = predict(rounds, rounds[1].instant + 6)
        self.assertAlmostEqual(found.changed, 20 * M)
        self.assertAlmostEqual(found.seconds, 2 + 2.0)
        self.assertEqual(found.worst, 0)

    def test_shutting_down_counts_and_the_machine_writes_meanwhile(self):
        rounds = rounds_of(100 * M, 40 * M)
        without = predict(rounds, 30.0)
        found = predict(rounds, 30.0, shutdown=12.0)
        self.assertAlmostEqual(found.changed - without.changed, 40 * M)
        self.assertAlmostEqual(found.seconds - without.seconds, 12 + 4)

    def test_too_little_is_known(self):
        self.assertIsNone(predict([], 0.0))
        self.assertIsNone(predict(rounds_of(M), 0.0))  # since when that has changed is not known
        full = Round("t", 0.0, 0.5, 10.0, 9.0, 100 * M, True)
        self.assertIsNone(predict([*rounds_of(M), full], 20.0))

    def test_the_rate_of_the_fastest_round_and_the_cost_of_the_last_ones(self):
        slow = rounds_of(10 * M, 10 * M, 10 * M, speed=5 * M)
        fast = Round("t", -20.0, -19.5, 20.0, 10.0, 9000 * M, True, data=200 * M)  # most of the disk is a hole
        self.assertAlmostEqual(rate([fast, *slow]), 20 * M)
        # So a round like the last three is predicted as they were, though the rate is that of the first.
        found = predict([fast, *slow], slow[-1].instant + (slow[-1].instant - slow[-2].instant))
        self.assertAlmostEqual(found.changed, 10 * M)
        self.assertAlmostEqual(found.seconds, 4.0)

    def test_no_more_than_the_disks_are_large(self):
        rounds = [dataclasses.replace(one, size=50 * M) for one in rounds_of(40 * M, 40 * M)]
        self.assertAlmostEqual(predict(rounds, rounds[1].instant + 1000).changed, 50 * M)

    def test_nothing_changes(self):
        found = predict(rounds_of(0, 0, cost=3.0), 20.0)
        self.assertEqual((found.seconds, found.changed), (3.0, 0.0))

    def test_errors_of_earlier_predictions_make_the_upper_limit(self):
        one, two = rounds_of(10 * M, 10 * M, predicted=2.5)  # each has taken 3
        self.assertAlmostEqual(one.error, 0.2)
        self.assertEqual(worst_error([one]), (0.3, False))  # one that was nearly right is no proof
        self.assertEqual(worst_error(rounds_of(10 * M, predicted=1.5)), (1.0, True))
        self.assertAlmostEqual(worst_error([one, two])[0], 0.2)
        found = predict([one, two], two.instant + 3)
        self.assertAlmostEqual(found.upper, found.seconds * 1.2)
        # No round has shut the guest down.
        later = predict([one, two], two.instant + 3, shutdown=100.0)
        self.assertAlmostEqual(later.upper, 100.0 + 1.2 * (later.seconds - 100.0))
        self.assertEqual(worst_error(rounds_of(10 * M, 10 * M, predicted=4.0)), (0.0, True))  # too long is no harm


    def test_whole_disks_each_time(self):
        # Read back from the second on.
        first, second, third = (dataclasses.replace(one, full=True, changed=900 * M, seconds=one.seconds + extra)
                                for one, extra in zip(rounds_of(20 * M, 20 * M, 20 * M), (0, 7, 7)))
        self.assertIsNone(predict([first], 20.0))
        found = predict([first, second], 1e6, shutdown=5.0)
        self.assertAlmostEqual(found.seconds, 5 + second.seconds)
        self.assertAlmostEqual(overhead([first, second, third]), 9.0)
        self.assertTrue(convergence.shrinks_no_more([first, second, third]))
        said = convergence.does_not_converge([first, second, third], found, 4.0, ["x"])
        self.assertIn("whole disks are copied each time, as nothing tells what has changed", said)


class Convergence(unittest.TestCase):
    def test_three_rounds_that_do_not_shrink(self):
        self.assertTrue(convergence.shrinks_no_more(rounds_of(10 * M, 10 * M, 11 * M)))
        self.assertTrue(convergence.shrinks_no_more(rounds_of(90 * M, 10 * M, 10 * M, 10 * M)))
        self.assertTrue(convergence.shrinks_no_more(rounds_of(0, 0, 0)))
        self.assertFalse(convergence.shrinks_no_more(rounds_of(10 * M, 10 * M)))
        self.assertFalse(convergence.shrinks_no_more(rounds_of(20 * M, 10 * M, 10 * M)))
        self.assertFalse(convergence.shrinks_no_more(rounds_of(10 * M, 10 * M, 9 * M)))

    def test_whole_disks_and_rounds_after_a_pause_do_not_count(self):
        one, two, three = rounds_of(10 * M, 10 * M, 10 * M)
        self.assertFalse(convergence.shrinks_no_more([dataclasses.replace(one, full=True), two, three]))
        self.assertFalse(convergence.shrinks_no_more([one, dataclasses.replace(two, waited=True), three]))
        self.assertTrue(convergence.shrinks_no_more([dataclasses.replace(one, waited=True), two, three]))

    def test_rounds_that_shrink_and_grow_again(self):
        sizes = [10 * M, 8 * M, 10 * M, 8 * M, 10 * M, 8 * M, 10 * M]
        self.assertFalse(convergence.shrinks_no_more(rounds_of(*sizes[:6])))
        self.assertTrue(convergence.shrinks_no_more(rounds_of(*sizes)))
        # After a burst they get shorter again.
        self.assertFalse(convergence.shrinks_no_more(rounds_of(8 * M, 90 * M, 50 * M, 20 * M, 10 * M, 7 * M)))

    def test_it_fits_only_with_what_earlier_predictions_were_wrong_by(self):
        rounds = rounds_of(10 * M, 10 * M, predicted=2.5)
        found = predict(rounds, rounds[-1].instant + 3)
        self.assertAlmostEqual(found.seconds, 3.0)
        self.assertFalse(convergence.fits(found, 3.5))
        self.assertTrue(convergence.fits(found, 3.61))
        self.assertFalse(convergence.fits(None, 1e9))

    def test_the_figures(self):
        rounds = rounds_of(30 * M, 30 * M, 30 * M)  # 30 MiB in 5 seconds, of which 2 are the round's cost
        found = predict(rounds, rounds[-1].instant + 5)
        said = convergence.does_not_converge(rounds, found, 4.0, convergence.what_helps(True, "20M", 1, 3))
        for words in ("30.0 MiB, 30.0 MiB, 30.0 MiB", "changes 360.0 MiB in a minute", "600.0 MiB can be copied in a minute",
                      "costs 2.0 s by itself", "a downtime of 5.0 s would do", "4.0 s were agreed on", "--at", "--pull",
                      "source-rate than 20M", "more disks at once", "nothing has been shut down"):
            self.assertIn(words, said)
        self.assertNotIn("--pull", "".join(convergence.what_helps(False, None, 4, 3)))

    def test_what_is_said_of_a_round(self):
        one, = rounds_of(10 * M, predicted=2.5)
        self.assertEqual(convergence.of_round(3, one), "round 3: 10.0 MiB in 3.0 s (2.5 s were predicted, +20%)")

    def test_rounded_up(self):
        self.assertEqual([convergence.rounded_up(s) for s in (0.2, 3.1, 10.1, 61, 601)], [1, 4, 15, 90, 660])


class BringingNear(unittest.TestCase):
    """Until the machine can be shut down; the rounds are given."""

    def context(self, before=(), at=None, chain=30, parameters=(), **options):
        states = self.enterContext(tempfile.TemporaryDirectory()) + "/"
        vm = SimpleNamespace(power_state=mock.AsyncMock(return_value=Power(State.ON, True)))
        machine = Machine("web1", Module("file", parameters), Module("qcow2", ()), (), "/i/{disk}-{time}", states, longest_chain=chain)
        return Context(SimpleNamespace(limits=Limits()), machine, Options(**options), None, Interruption(), list, vm,
                       Journal("web1", rounds=before, at=at))

    def bring_near(self, *full, **of_context):
        """full: whether each round copies whole disks. Returns how many there were."""
        left = [dataclasses.replace(one, full=whole, seconds=2.0)
                for one, whole in zip(rounds_of(*len(full) * [M], first=time.time(), predicted=2.0), full)]

        async def run_round(*_):
            return SimpleNamespace(round=left.pop(0))

        with mock.patch.object(deciding, "run_round", run_round), contextlib.redirect_stderr(io.StringIO()):
            asyncio.run(deciding.bring_near(self.context(**of_context)))
        return len(full) - len(left)

    def test_nothing_tells_what_has_changed_and_it_would_be_pulled(self):
        with self.assertRaisesRegex(Failure, "nothing tells .* without --pull, .* nothing has been shut down"):
            self.bring_near(True, True, True, True, downtime=60.0, pull=True)
        self.assertEqual(self.bring_near(True, True, True, True, downtime=60.0), 2)

    def test_nothing_tells_what_has_changed_long_before_at(self):
        """It is found out now, and not when the machine is about to be shut down."""
        with mock.patch.object(deciding, "_wait", side_effect=AssertionError), \
                self.assertRaisesRegex(Failure, "nothing tells"):
            self.bring_near(True, True, at=time.time() + 7200, downtime=60.0, pull=True)

    def test_a_whole_disk_once_is_no_such_case(self):
        self.assertEqual(self.bring_near(True, False, False, downtime=60.0, pull=True), 2)
        whole = tuple(dataclasses.replace(one, full=True) for one in rounds_of(M, M, predicted=2.0))
        self.assertEqual(self.bring_near(True, False, False, before=whole, downtime=60.0, pull=True), 2)

    def test_full_points_alone_as_the_plan_says(self):
        self.assertEqual(self.bring_near(True, True, True, chain=1, downtime=60.0, pull=True), 2)
        with self.assertRaisesRegex(Failure, "nothing tells"):
            self.bring_near(True, True, True, chain=1, parameters=("cbt=Off",), downtime=60.0, pull=True)
        with self.assertRaisesRegex(Failure, "the rounds do not get shorter.*--pull"):
            self.bring_near(*5 * [True], chain=1, downtime=0.1)

    def test_one_whole_disk_is_too_little_for_at(self):
        whole = dataclasses.replace(rounds_of(M)[0], full=True)
        for rounds, fits in ((whole,), False), ((whole, *rounds_of(M)), True):
            self.assertEqual(deciding._fits_at(self.context(rounds, downtime=60.0, pull=True), 1e3), fits)

    def test_pull_is_not_advised_where_nothing_tells_what_has_changed(self):
        for full in False, True:
            with self.assertRaisesRegex(Failure, "the rounds do not get shorter") as raised:
                self.bring_near(*5 * [full], downtime=0.1)
            self.assertEqual("--pull" in str(raised.exception), not full)


class TheJournal(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.states = directory.name + "/"

    def test_what_is_written_is_read(self):
        self.assertIsNone(read_journal(self.states))
        journal = Journal("web1", Step.HANDOVER, downtime=60.0, rounds=tuple(rounds_of(M, M)), down=10.0, off=12.5, ready=17.0,
                          images=(("2000", "/backup/2000-cutover.qcow2"),), was_on=True)
        write_journal(self.states, journal)
        self.assertEqual(read_journal(self.states), journal)
        self.assertEqual(journal.measured, 7.0)

    def test_one_that_is_damaged_is_no_beginning(self):
        for text in ("", "{}", '{"nbdkit-replicate-cutover": 2, "vm": "a"}', "[1]", "1"):
            with open(path_of(self.states), "w", encoding="utf-8") as file:
                file.write(text)
            with self.assertRaisesRegex(Failure, "cannot read"):
                read_journal(self.states)

    def test_other_runs_are_refused_from_the_shutdown_on(self):
        check_no_cutover(self.states)
        for step in Step:
            write_journal(self.states, Journal("web1", step))
            if step in (Step.ROUNDS, Step.ABORTED):
                check_no_cutover(self.states)
            else:
                with self.assertRaisesRegex(Failure, "--abort"):
                    check_no_cutover(self.states)

    def test_the_file_is_replaced(self):
        write_journal(self.states, Journal("web1"))
        before = os.stat(path_of(self.states)).st_ino
        write_journal(self.states, Journal("web1", Step.SHUTDOWN))
        self.assertNotEqual(os.stat(path_of(self.states)).st_ino, before)
        with open(path_of(self.states), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["step"], "shutdown")
        self.assertEqual(os.listdir(self.states), ["cutover.json"])


class Names(unittest.TestCase):
    def test_a_run_within_the_second_of_another_one_gets_the_next_that_is_free(self):
        async def replicate(*_):
            return Result.DONE

        directory = self.enterContext(tempfile.TemporaryDirectory())
        for name in f"a-{time_of(1000.0)}.qcow2", f"b-{time_of(1001.0)}.qcow2.partial", f"{time_of(1002.0)}":
            with open(os.path.join(directory, name), "wb"):
                pass
        report = RunReport("web1")
        machine = Machine("web1", Module("file", ()), Module("qcow2", ()), (), directory + "/{disk}-{time}.qcow2", directory)
        run = PlannedRun(None, machine, None, None, hooks=False)
        with mock.patch.object(PlannedRun, "_replicate", replicate), mock.patch("time.time", lambda: 1000.4):
            self.assertEqual(asyncio.run(run.run(report)), Result.DONE)
        self.assertEqual((report.record.time, report.record.started), (time_of(1002.0), 1000.4))


    def test_images_that_were_written_to_and_taken_away_within_a_second(self):
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "2000-cutover.qcow2")

        async def is_written(*_):
            return True

        with mock.patch("time.time", lambda: 1000.4):
            for number in "1", "2":
                with open(path, "w", encoding="ascii") as file:
                    file.write(number)
                with contextlib.redirect_stderr(io.StringIO()):
                    asyncio.run(take_away((("2000", path),), is_written))
        for number, moment in ("1", 1000.0), ("2", 1001.0):
            with open(f"{path}.{time_of(moment)}", encoding="ascii") as file:
                self.assertEqual(file.read(), number)


class EndedForAReason(unittest.TestCase):
    def test_what_is_waited_for_ends_with_that_reason_and_so_does_what_comes_later(self):
        why = Failure("the machine was started")

        async def run():
            interruption = Interruption()
            asyncio.get_running_loop().call_soon(interruption.end, why)
            with self.assertRaisesRegex(Failure, "was started"):
                with interruption.scope():
                    await asyncio.sleep(60)
            with self.assertRaisesRegex(Failure, "was started"):
                with interruption.scope():
                    self.fail("it is begun")
            self.assertIs(interruption.why, why)
            interruption.end(Failure("later"))
            self.assertIs(interruption.why, why)

        asyncio.run(run())


class Moments(unittest.TestCase):
    NOW = datetime.datetime(2026, 11, 3, 22, 30, tzinfo=datetime.UTC).astimezone()

    def test_a_time_of_the_day_is_the_next_one(self):
        now = self.NOW
        later, earlier = now + datetime.timedelta(minutes=5), now - datetime.timedelta(minutes=5)
        tomorrow = earlier.replace(tzinfo=None) + datetime.timedelta(days=1)
        self.assertEqual(moment_of(later.strftime("%H:%M"), now), later.timestamp())
        self.assertEqual(moment_of(earlier.strftime("%H:%M"), now), tomorrow.timestamp())

    def test_the_next_day_may_have_another_offset(self):
        self.addCleanup(time.tzset)  # the last to be done, after the variable is as it was
        self.enterContext(mock.patch.dict(os.environ, TZ="CET-1CEST,M3.5.0,M10.5.0/3"))  # as in Berlin
        time.tzset()
        for day, offset in ("2026-10-24", "+01:00"), ("2026-03-28", "+02:00"), ("2026-06-01", "+02:00"):
            now = datetime.datetime.fromisoformat(day + " 22:00").astimezone()
            tomorrow = now.date() + datetime.timedelta(days=1)
            self.assertEqual(moment_of("04:00", now), datetime.datetime.fromisoformat(f"{tomorrow}T04:00{offset}").timestamp())

    def test_one_that_was_missed_is_that_of_the_next_day_while_nothing_has_been_shut_down(self):
        states = self.enterContext(tempfile.TemporaryDirectory()) + "/"
        arguments = argparse.Namespace(abort=False, at="23:00", downtime=60.0)
        now = time.time()
        for step, ago, stays in ((Step.ROUNDS, 11 * 3600, False), (Step.ROUNDS, 300, True), (Step.SHUTDOWN, 11 * 3600, True)):
            write_journal(states, Journal("web1", step, at_text="23:00", at=now - ago))
            _journal(SimpleNamespace(name="web1", states=states), arguments)
            at = read_journal(states).at
            self.assertTrue(at == now - ago if stays else at > now, (step, ago, at - now))

    def test_a_date_and_time(self):
        self.assertEqual(moment_of("2026-11-03T23:00:00+00:00", self.NOW), self.NOW.timestamp() + 1800)
        self.assertEqual(moment_of("2026-11-03 23:00", self.NOW), datetime.datetime(2026, 11, 3, 23).timestamp())

    def test_what_is_none(self):
        for text in ("24:00", "7", "2026-11-03", "tonight", ""):
            with self.assertRaises(WrongUse):
                moment_of(text, self.NOW)


class Verification(unittest.TestCase):
    def test_whole_blocks_each_once(self):
        k = 1 << 16
        self.assertEqual(_blocks([(0, 1), (5, 10), (k, k), (3 * k + 1, 1), (4 * k, 1)], 5 * k),
                         [(0, 2 * k), (3 * k, 2 * k)])
        self.assertEqual(_blocks([(k, 5)], k + 100), [(k, 100)])
        self.assertEqual(_blocks([], k), [])

    def test_requests_cover_them(self):
        found = list(_requests([(0, 5 * M // 2), (7 * M, 10)]))
        self.assertEqual(found, [(0, M), (M, M), (2 * M, M // 2), (7 * M, 10)])


# Connects to a socket, says so, and stays until its input ends.
CLIENT = """
import socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    print("connected", flush=True)
    sys.stdin.read()
"""


class Clients(unittest.TestCase):
    def setUp(self):
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "socket")
        self.listening = self.enterContext(socket.socket(socket.AF_UNIX))
        self.listening.bind(path)
        self.listening.listen()
        self.server = SimpleNamespace(id=os.getpid(), socket=path)  # we are the server

    def counts(self, *words):
        """A client that is started by them, while it is connected and after that."""
        self.assertEqual(clients_of(self.server), 0)
        with subprocess.Popen([*words, sys.executable, "-c", CLIENT, self.server.socket], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as client:
            self.assertEqual(client.stdout.readline(), b"connected\n")
            with self.listening.accept()[0]:
                self.assertEqual(clients_of(self.server), 1)
            self.assertEqual(clients_of(self.server), 0)
            client.stdin.close()

    def test_a_client(self):
        self.counts()

    def test_one_in_a_container_with_a_network_of_its_own(self):
        unshare = ["unshare", "--net"]
        if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
            self.skipTest("needs root")
        self.counts(*unshare)

    def test_descriptors_that_are_no_sockets_any_more(self):
        with tempfile.TemporaryFile(), socket.socket(socket.AF_UNIX) as client, \
                mock.patch.object(os, "readlink", return_value="socket:[1]"), \
                mock.patch.object(connected, "_listed", side_effect=AssertionError):
            client.connect(self.server.socket)
            with self.listening.accept()[0]:
                before = len(os.listdir("/proc/self/fd"))
                self.assertEqual(clients_of(self.server), 1)
                self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_where_the_system_does_not_allow_to_look(self):
        with mock.patch.object(connected, "sockets_of", side_effect=PermissionError):
            self.counts()


class Watched(unittest.IsolatedAsyncioTestCase):
    async def test_a_fault_of_the_vcenter_does_not_end_the_watch_for_a_start(self):
        answers = [Failure("SystemError"), Failure("SystemError"), Power(State.ON, True)]
        state = mock.AsyncMock(side_effect=answers)
        context = SimpleNamespace(interruption=Interruption(), vm=SimpleNamespace(power_state=state))
        said = self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        with mock.patch.object(power, "WATCH", 0.001), self.assertRaisesRegex(Failure, "somebody has started the machine"):
            async with watched(context):
                with context.interruption.scope():
                    await asyncio.sleep(60)
        self.assertEqual(said.getvalue().count("whether somebody starts the machine is not known"), 1)

    async def test_a_login_that_is_refused_is_not_tried_again(self):
        state = mock.AsyncMock(side_effect=Refused("wrong"))
        watch = power.Watch(SimpleNamespace(vm=SimpleNamespace(power_state=state)))
        said = self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        for _ in range(3):
            self.assertIsNone(await watch.look())
        self.assertEqual((state.await_count, said.getvalue().count("the login is not tried again")), (1, 1))


class Pulling(unittest.IsolatedAsyncioTestCase):
    async def test_a_snapshot_is_not_removed_once_more_after_a_login_was_refused(self):
        for error, count in (Refused("wrong"), 1), (Failure("busy"), 4):
            remove = mock.AsyncMock(side_effect=error)
            context = SimpleNamespace(interruption=Interruption(), vm=SimpleNamespace(remove_snapshot=remove),
                                      journal=Journal("web1", snapshot="of the test"))
            said = self.enterContext(contextlib.redirect_stderr(io.StringIO()))
            with mock.patch.object(serving, "clients_of", side_effect=[1, 1, 1, 0]), mock.patch.object(serving, "POLL", 0), \
                    mock.patch.object(serving, "AGAIN", 0):
                removal = await serving._try_to_remove(context)
                self.assertFalse(await serving._until_unused(context, [None], removal))
            self.assertEqual((remove.await_count, said.getvalue().count('"of the test" of the machine is not removed')),
                             (count, count))
            with self.assertRaisesRegex(type(error), '"of the test" of the machine is not removed'):
                await serving.remove_snapshot(context)

    async def test_the_command_fails_while_the_images_are_used(self):
        states = self.enterContext(tempfile.TemporaryDirectory()) + "/"
        os.mkdir(states + "cutover")
        context = SimpleNamespace(machine=SimpleNamespace(states=states))
        failed = mock.AsyncMock(side_effect=handover.CommandFailed("it failed"))
        for written, clients, used in ("", 0, False), ("open", 0, False), ("open", 1, True), ("written", 0, True):
            with open(states + "cutover/2000.state", "w", encoding="ascii") as file:
                json.dump({"pull": written}, file)
            with mock.patch.object(serving, "clients_of", return_value=clients), contextlib.redirect_stderr(io.StringIO()), \
                    mock.patch.object(handover, "hand_over", failed):
                ended = serving._hand_over(context, {"2000": "nbd://"}, [None], False)
                if used:
                    self.assertTrue(await ended)
                else:
                    with self.assertRaises(handover.CommandFailed):
                        await ended

    async def test_a_server_that_has_ended_is_not_waited_for(self):
        state = mock.AsyncMock(return_value=None)
        context = SimpleNamespace(machine=None, interruption=Interruption(), vm=SimpleNamespace(power_state=state))
        with RunDirectory() as directory, mock.patch.object(serving, "owed", return_value=1), \
                mock.patch.object(serving, "POLL", 0.001):
            server = await Server.start("disk 2000", ["false"], directory, "2000.sock")
            async with asyncio.timeout(60):
                with self.assertRaisesRegex(Failure, "the disk 2000 server has ended"):
                    await serving._until_whole(context, ["2000"], [server])
            await server.stop()


    async def test_what_is_fetched_is_cancelled_once_so_that_it_logs_out(self):
        done = []

        async def fetch(*_):
            done.append(asyncio.current_task())
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await asyncio.sleep(0.01)
                done.append("logged out")
                raise

        async def hand_over(*_):
            while not done:
                await asyncio.sleep(0)
            done[0].cancel()  # by an interruption
            await asyncio.sleep(0)
            raise serving.handover.CommandFailed("interrupted")

        with mock.patch.object(serving, "_fetch", fetch), mock.patch.object(serving, "_hand_over", hand_over), \
                self.assertRaisesRegex(Failure, "interrupted"):
            await serving.serve(None, {}, [], contextlib.AsyncExitStack(), False)
        self.assertEqual(done[1:], ["logged out"])


class UsedWithoutAServer(unittest.IsolatedAsyncioTestCase):
    """With --pull the images are served; but when their servers have ended somebody may use them as they are."""

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.path = os.path.join(self.directory, "2000-cutover.qcow2")
        self.machine = SimpleNamespace(states=self.directory)
        os.mkdir(os.path.join(self.directory, "cutover"))
        self.begin()

    def begin(self, owed=()):
        os.makedirs(os.path.join(self.directory, "cutover"), exist_ok=True)
        with open(pull_state.pull_state(self.machine, "2000"), "w", encoding="ascii") as file:
            json.dump({"checkpoint": "c", "owed": owed, "size": M, "pull": "unchanged"}, file)
        self.write("as it was")
        pull_state.begin_serving(self.machine, "2000", self.path, again=False)
        self.write("as its server has left it")

    def end(self):
        pull_state.end_serving(self.machine, "2000", self.path)

    def write(self, text):
        with open(self.path, "a", encoding="ascii") as file:
            file.write(text)

    def context(self, pulled=True):
        return SimpleNamespace(machine=self.machine, vm=SimpleNamespace(remove_snapshot=mock.AsyncMock()), journal=Journal(
            "web1", Step.HANDOVER, pulled=pulled, snapshot="s", images=(("2000", self.path),)))

    async def takes_away(self, context):
        """Whether it is kept by another name."""
        with contextlib.redirect_stderr(io.StringIO()):
            await pulling.end_pulling(context, context.journal.images)
        self.assertFalse(os.path.exists(self.path))
        return bool([os.unlink(os.path.join(self.directory, name)) for name in os.listdir(self.directory)
                     if name.startswith("2000-cutover")])

    async def test_one_that_was_written_to_is_that_of_the_destination_and_is_kept(self):
        self.end()
        self.assertFalse(await Cutover(self.context())._is_taken_over())
        self.write("by the machine")
        self.assertTrue(await Cutover(self.context())._is_taken_over())
        self.assertTrue(await self.takes_away(self.context()))

    async def test_what_was_used_before_it_was_served_again_stays_so(self):
        for known in True, False:  # not after a kill
            if known:
                self.end()
            self.write("by the machine")
            for _ in range(2):
                if pull_state.begin_serving(self.machine, "2000", self.path, again=True):
                    self.end()
            self.assertEqual(await Cutover(self.context())._is_taken_over(), known)
            self.assertTrue(await self.takes_away(self.context()))
            self.begin()

    async def test_one_that_is_served_again_and_was_not_used(self):
        self.end()
        self.assertTrue(pull_state.begin_serving(self.machine, "2000", self.path, again=True))
        self.write("by its server")
        self.end()
        self.assertFalse(await Cutover(self.context())._is_taken_over())
        self.assertFalse(await self.takes_away(self.context()))

    async def test_one_that_lacks_something_is_no_disk_of_a_machine(self):
        self.begin([[0, 65536]])
        self.end()
        self.write("by somebody")
        self.assertFalse(await Cutover(self.context())._is_taken_over())
        self.assertTrue(await self.takes_away(self.context()))

    async def test_one_that_nobody_has_written_to_is_taken_away(self):
        self.end()
        self.assertFalse(await self.takes_away(self.context()))

    async def test_after_a_kill_nobody_knows(self):
        self.assertFalse(await Cutover(self.context())._is_taken_over())
        self.assertTrue(await self.takes_away(self.context()))
        self.begin()
        self.assertFalse(await self.takes_away(self.context(pulled=False)))  # nobody was told of it


if __name__ == "__main__":
    unittest.main()
