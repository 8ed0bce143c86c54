# SPDX-License-Identifier: BSD-3-Clause
"""Many machines: shards, limits, the time window, refused logins, hooks, what is checked before a snapshot."""
import asyncio
import collections
import contextlib
import datetime
import fcntl
import os
import random
import signal
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate.composition.replication import Module  # noqa: E402
from nbdkit_replicate.contract import reconnecting, use_parameters  # noqa: E402
from nbdkit_replicate.images import is_in_use  # noqa: E402
from nbdkit_replicate.many import checks, planned_run  # noqa: E402
from nbdkit_replicate.many.expectations import history  # noqa: E402
from nbdkit_replicate.many.hooks import run_hook  # noqa: E402
from nbdkit_replicate.many.locks import machine_held, plan_held  # noqa: E402
from nbdkit_replicate.many.login import Login  # noqa: E402
from nbdkit_replicate.many.planned_run import PlannedRun  # noqa: E402
from nbdkit_replicate.many.replications import replication_of  # noqa: E402
from nbdkit_replicate.many.scheduler import MachineSlots, Scheduler  # noqa: E402
from nbdkit_replicate.many.shard import Shard  # noqa: E402
from nbdkit_replicate.many.window import Beginning, is_within  # noqa: E402
from nbdkit_replicate.messages import Failure, Refused, TooLate, WrongUse, messages_to  # noqa: E402
from nbdkit_replicate.plan.plan import Limits, Machine, Plan, Window  # noqa: E402
from nbdkit_replicate.report.records import DiskRecord, RunRecord, records_directory, write_record  # noqa: E402
from nbdkit_replicate.report.run import RunReport  # noqa: E402
from nbdkit_replicate.run.interruption import Interruption  # noqa: E402
from nbdkit_replicate.run.machine import MachineRun  # noqa: E402
from nbdkit_replicate.run.result import Result  # noqa: E402
from nbdkit_replicate.vcenter.inventory import Inventory, VmFacts  # noqa: E402


def machine(name, vcenter="v", states="/s/", **fields):
    return Machine(name, Module("vsphere" if vcenter else "file", (f"vm=/DC0/vm/{name}",)), Module("qcow2", ()), (),
                   f"/i/{name}/{{disk}}-{{time}}", states, vcenter=vcenter, **fields)


class Shards(unittest.TestCase):
    MACHINES = [machine(f"vm{number:04}") for number in range(2000)]
    LIMITS = Limits(machines=50, per_vcenter=40, per_host=17)

    def test_each_of_2000_machines_is_done_by_exactly_one_of_16(self):
        parts = [Shard(index, 16).of(self.MACHINES) for index in range(16)]
        self.assertEqual(sorted(one.name for part in parts for one in part), [one.name for one in self.MACHINES])
        self.assertTrue(all(80 <= len(part) <= 170 for part in parts), [len(part) for part in parts])
        self.assertEqual(parts, [Shard(index, 16).of(self.MACHINES) for index in range(16)])

    def test_the_split_is_the_same_in_each_version(self):
        """Another split would make two hosts do one machine while they are updated."""
        self.assertEqual([next(i for i in range(16) if Shard(i, 16).has(f"web{n}")) for n in range(8)],
                         [1, 6, 3, 5, 15, 15, 12, 5])

    def test_few_machines_move_when_there_is_one_host_more(self):
        def shard(name, count):
            return next(index for index in range(count) if Shard(index, count).has(name))

        moved = [one.name for one in self.MACHINES if shard(one.name, 16) != shard(one.name, 17)]
        self.assertLess(len(moved), 200)
        self.assertTrue(all(shard(name, 17) == 16 for name in moved))

    def test_the_limits_are_divided(self):
        parts = [Shard(index, 16).limits(self.LIMITS) for index in range(16)]
        for key in "machines", "per_vcenter", "per_host":
            values = [getattr(part, key) for part in parts]
            self.assertEqual(sum(values), getattr(self.LIMITS, key))
            self.assertLessEqual(max(values) - min(values), 1)
        self.assertEqual(Shard(3, 16).limits(Limits()), Limits())

    def test_a_limit_that_cannot_be_divided(self):
        with self.assertRaisesRegex(WrongUse, "limits.per-host = 3 cannot be divided among 4 shards"):
            Shard(0, 4).limits(Limits(per_host=3))

    def test_words(self):
        self.assertEqual([Shard.parse(word) for word in ("0/3", "2/3", "3/3", "1/1")],
                         [Shard(0, 3), Shard(2, 3), Shard(0, 3), Shard(0, 1)])
        for word in "4/3", "1/0", "x", "-1/3", "1/3/4":
            with self.assertRaises(WrongUse):
                Shard.parse(word)

    def test_what_each_vcenter_sees_of_16_shards_at_once(self):
        """2,000 machines, each of which takes a moment; nothing is copied."""
        seen, now = collections.Counter(), collections.Counter()

        async def run(one, scheduler, host):
            async with scheduler.machine(one, host):
                now[host] += 1
                now["all"] += 1
                for key in (host, "all"):
                    seen[key] = max(seen[key], now[key])
                await asyncio.sleep(0)
                now[host] -= 1
                now["all"] -= 1
                seen["done"] += 1

        async def all_shards():
            runs = []
            for index in range(16):
                scheduler = Scheduler(Shard(index, 16).limits(self.LIMITS))
                runs += [run(one, scheduler, f"host{one.name[-1]}") for one in Shard(index, 16).of(self.MACHINES)]
            await asyncio.gather(*runs)

        asyncio.run(all_shards())
        self.assertEqual(seen.pop("done"), 2000)
        self.assertLessEqual(seen.pop("all"), 40)
        self.assertEqual(len(seen), 10)
        self.assertLessEqual(max(seen.values()), 17)


class Limited(unittest.TestCase):
    def test_random_machines_and_disks(self):
        """Never more than the limits, everything is done, and what comes first uses what it may."""
        for seed in range(20):
            with self.subTest(seed):
                asyncio.run(self._random(random.Random(seed)))

    async def _random(self, generator):
        limits = Limits(machines=generator.randint(1, 6), disks=generator.randint(1, 3),
                        per_vcenter=generator.choice([None, 1, 3]), per_host=generator.choice([None, 1, 2]))
        scheduler = Scheduler(limits)
        now, done = collections.Counter(), []

        def check():
            self.assertLessEqual(now["machines"], limits.machines)
            self.assertLessEqual(now["v"], limits.per_vcenter or 1000)
            self.assertLessEqual(max((now[f"h{n}"] for n in range(3)), default=0), limits.per_host or 1000)

        async def disk(slots, name, host):
            await slots.acquire()
            now.update([name, "v", host])
            check()
            self.assertLessEqual(now[name], limits.disks)
            await asyncio.sleep(generator.choice([0, 0, 0.0001]))
            now.subtract([name, "v", host])
            slots.release()
            done.append(name)

        async def run(name, host, disks):
            async with scheduler.machine(machine(name), host) as slots:
                now.update(["machines"])
                check()
                await asyncio.gather(*(disk(slots, name, host) for _ in range(disks)))
                now.subtract(["machines"])

        sizes = {f"m{n}": generator.randint(1, 4) for n in range(20)}
        async with asyncio.timeout(60):
            await asyncio.gather(*(run(name, f"h{generator.randrange(3)}", disks) for name, disks in sizes.items()))
        self.assertEqual(collections.Counter(done), collections.Counter(sizes))

    def test_a_machine_waits_for_a_disk_of_its_host_before_it_is_begun(self):
        async def run():
            scheduler = Scheduler(Limits(machines=5, per_host=1))
            async with scheduler.machine(machine("a"), "h1"):
                waiting = asyncio.create_task(self._enter(scheduler, "b", "h1"))
                await self._enter(scheduler, "c", "h2")  # it does not wait for what b waits for
                await asyncio.sleep(0)
                self.assertFalse(waiting.done())
            await waiting
        asyncio.run(run())

    def test_a_disk_of_a_machine_that_was_begun_comes_first(self):
        order = []

        async def disk(slots, name):
            await slots.acquire()
            order.append(name)
            slots.release()

        async def run():
            scheduler = Scheduler(Limits(machines=5, per_vcenter=2))
            async with scheduler.machine(machine("a"), "") as first:
                await first.acquire()
                other = contextlib.AsyncExitStack()
                await other.enter_async_context(scheduler.machine(machine("b"), ""))
                later = asyncio.create_task(self._enter(scheduler, "c", "", order))
                await asyncio.sleep(0)
                second = asyncio.create_task(disk(first, "second disk"))
                await asyncio.sleep(0)
                self.assertEqual(order, [])
                await other.aclose()
                await second
                first.release()
            await later
        asyncio.run(run())
        self.assertEqual(order, ["second disk", "c"])

    async def _enter(self, scheduler, name, host, order=None):
        async with scheduler.machine(machine(name), host):
            if order is not None:
                order.append(name)

    def test_cancelled_waits_leave_nothing_behind(self):
        async def run():
            scheduler = Scheduler(Limits(machines=1))
            async with scheduler.machine(machine("a"), ""):
                waiting = [asyncio.create_task(self._enter(scheduler, "b", "")) for _ in range(3)]
                await asyncio.sleep(0)
                waiting[1].cancel()
            waiting[0].cancel()  # it has been granted, and has not run since
            async with asyncio.timeout(60):
                await asyncio.gather(*waiting, return_exceptions=True)
                await self._enter(scheduler, "d", "")
        asyncio.run(run())

    def test_cancelled_disks_leave_nothing_behind(self):
        async def run():
            scheduler = Scheduler(Limits(machines=2, per_vcenter=1))
            async with scheduler.machine(machine("a"), "") as slots:
                await slots.acquire()
                waiting = [asyncio.create_task(slots.acquire()) for _ in range(2)]
                await asyncio.sleep(0)
                slots.release()
                waiting[0].cancel()  # it has been granted
                async with asyncio.timeout(60):
                    await waiting[1]
                slots.release()
                self.assertEqual((slots.held, slots.busy), (1, 0))
            async with asyncio.timeout(60):
                await self._enter(scheduler, "b", "")
        asyncio.run(run())

    def test_nothing_is_begun_once_that_is_over(self):
        over = []

        def check():
            if over:
                raise TooLate("over")

        async def run():
            scheduler = Scheduler(Limits(machines=2), check)
            async with scheduler.machine(machine("a"), "") as slots:
                await slots.acquire()
                over.append(True)
                with self.assertRaises(TooLate):
                    await slots.acquire()
                slots.release()
            with self.assertRaises(TooLate):
                await self._enter(scheduler, "b", "")
            over.clear()
            await self._enter(scheduler, "c", "")
            self.assertIsInstance(slots, MachineSlots)
        asyncio.run(run())


class Windows(unittest.TestCase):
    def test_within(self):
        night, day = Window(datetime.time(22), datetime.time(6)), Window(datetime.time(9), datetime.time(17))
        for window, hours in (night, {22, 23, 0, 1, 2, 3, 4, 5}), (day, set(range(9, 17))):
            self.assertEqual({hour for hour in range(24) if is_within(window, datetime.time(hour))}, hours)

    def test_message_and_status(self):
        beginning = Beginning(Window(datetime.time(22), datetime.time(6)), lambda: datetime.datetime(2026, 1, 2, 6, 0))
        with self.assertRaisesRegex(TooLate, "it is 06:00, and the window of the plan is 22:00-06:00") as raised:
            beginning.check()
        self.assertEqual(Result.of_failure(raised.exception), Result.LATER)
        Beginning(None).check()


class Results(unittest.TestCase):
    def test_the_worst_of_all(self):
        everything = [Result.DONE, Result.LATER, Result.BEHIND, Result.INCOMPLETE, Result.REFUSED]
        for count in range(1, 6):
            self.assertEqual(Result.of_all(everything[:count]), everything[count - 1])
        self.assertEqual(Result.of_all([]), Result.DONE)

    def test_a_refused_login_is_told_from_a_lost_connection(self):
        for text, result in (("the source server did not start: vc: Login: the user name or the password is wrong: check user= and "
                              "password=", Result.REFUSED), ("vc: connection refused", Result.INCOMPLETE)):
            self.assertEqual(Result.of_failure(Failure(text)), result)
        self.assertEqual(Result.of_failure(Refused("x")), Result.REFUSED)


class Logins(unittest.TestCase):
    def test_a_refused_password_is_tried_once(self):
        tried, login = [], None

        async def attempt(number):
            try:
                async with login.attempt():
                    tried.append(number)
                    await asyncio.sleep(0)
                    login.refused(Failure("wrong"))
            except Refused:
                return "refused"
            return "tried"

        async def run():
            nonlocal login
            login = Login()
            return await asyncio.gather(*map(attempt, range(5)))

        self.assertEqual(asyncio.run(run()), ["tried", "refused", "refused", "refused", "refused"])
        self.assertEqual(tried, [0])

    def test_a_login_that_is_refused_while_disks_are_copied_is_not_tried_by_others(self):
        refusal = "the copy is not complete: source: vc: Login: the user name or the password is wrong"
        web1, login, report = machine("web1"), Login(), RunReport("web1")
        vcenters = mock.Mock(**{"failure.return_value": None, "login.return_value": login, "inventories": {}})

        async def copy(_):
            disks = DiskRecord("2000", cause="it is torn"), DiskRecord("2001", cause=refusal)
            report.record = RunRecord("web1", "", 0.0, 1.0, "incomplete", "disk 2000: it is torn", disks=disks)
            return Result.REFUSED

        async def run():
            one = PlannedRun(Plan("/p.toml", (web1,)), web1, vcenters, Interruption())
            with mock.patch.object(MachineRun, "run", copy), mock.patch.object(planned_run, "check_machine"):
                self.assertEqual(await one.run(report), Result.REFUSED)
            with self.assertRaisesRegex(Refused, f"^{refusal}$"):
                async with login.attempt():
                    self.fail("the next machine tries it")

        asyncio.run(run())

    def test_one_at_a_time_until_one_is_accepted_and_then_all(self):
        async def run():
            login, inside, most = Login(), 0, []

            async def attempt(number):
                nonlocal inside
                async with login.attempt():
                    inside += 1
                    most.append(inside)
                    for _ in range(3):
                        await asyncio.sleep(0)
                    if number == 1:
                        login.accepted()
                    for _ in range(3):
                        await asyncio.sleep(0)
                    inside -= 1

            await asyncio.gather(*map(attempt, range(5)))
            return most

        most = asyncio.run(run())
        self.assertEqual(most[:2], [1, 1])  # the first ends without knowing
        self.assertEqual(max(most), 4)


class Messages(unittest.TestCase):
    """Has a directory, and collects messages."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.said = []
        stack = contextlib.ExitStack()
        stack.enter_context(messages_to(lambda message: self.said.append(message.text)))
        self.addCleanup(stack.close)

    def path(self, *parts):
        return os.path.join(self.directory, *parts)


class Hooks(Messages):
    def hook(self, script, deadline=60.0):
        with open(self.path("err"), "w", encoding="utf-8") as errors, mock.patch.object(sys, "stderr", errors):
            asyncio.run(run_hook("after", ["/bin/sh", "-c", script], {"vm": "a"}, deadline))

    def test_it_reads_json_and_writes_to_standard_error(self):
        self.hook(f"cat > {self.path('in')}; echo out")
        with open(self.path("in"), encoding="utf-8") as file:
            self.assertEqual(file.read(), '{"vm": "a"}\n')
        with open(self.path("err"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "out\n")
        self.assertEqual(self.said, [])

    def test_one_that_does_not_read_is_no_failure(self):
        self.hook("exec 0<&-; exit 0")
        self.assertEqual(self.said, [])

    def test_failures_are_told(self):
        self.hook("exit 3")
        self.hook("kill -KILL $$")
        asyncio.run(run_hook("before", [self.path("none")], {}, 1.0))
        self.assertEqual(self.said, ["the hook after ended with status 3: /bin/sh", "the hook after ended with signal 9: /bin/sh",
                                     f"the hook before cannot be started: {self.path('none')}: No such file or directory"])

    def test_one_that_hangs_is_killed_with_what_it_has_started(self):
        for deadline in 0.3, 3, 30, 300:
            self.said.clear()
            with mock.patch("nbdkit_replicate.many.hooks.GRACE", 0.05):
                self.hook(f"(trap '' TERM; exec sleep 1000) & echo $! > {self.path('pid')}; wait", deadline)
            self.assertEqual(self.said, [f"the hook after has not ended within {deadline:.0f} seconds and was killed: /bin/sh"])
            pid = self.content("pid")
            if pid:  # or it was killed before it had started anything
                break
        self.assertTrue(_gone(int(pid)))

    def content(self, name):
        """Of the file; "" if there is none."""
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def test_no_hook(self):
        asyncio.run(run_hook("after", (), {}, 1.0))
        self.assertEqual(self.said, [])


def _gone(pid):
    """Waits for it; a zombie counts."""
    for _ in range(6000):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                if file.read().rpartition(")")[2].split()[0] in "ZX":
                    return True
        except FileNotFoundError:
            return True
        asyncio.run(asyncio.sleep(0.01))
    os.kill(pid, signal.SIGKILL)
    return False


class Locks(Messages):
    def test_a_plan_and_its_shards(self):
        plan = Plan(self.path("p.toml"), (machine("a", states=self.path("s", "a", "")), machine("b", states=self.path("s", "b", ""))))
        with plan_held(plan, Shard()):
            with self.assertRaisesRegex(Failure, "p.toml: a run of this plan is under way"), plan_held(plan, Shard()):
                self.fail("two runs")
            with plan_held(plan, Shard(0, 2)), plan_held(plan, Shard(1, 2)):
                pass
        with plan_held(plan, Shard()):
            self.assertEqual(len(os.listdir(self.path("s"))), 3)

    def test_a_machine(self):
        one = machine("a", states=self.path("a", ""))
        with machine_held(one):
            with self.assertRaisesRegex(Failure, "another run of this machine is under way"), machine_held(one):
                self.fail("two runs")


class Reconnecting(unittest.TestCase):
    def test_what_each_plugin_is_told(self):
        self.assertEqual(reconnecting("vsphere", ["vm=x"], 1800), ([], ["reconnect-for=1800"]))
        self.assertEqual(reconnecting("vsphere", ["reconnect-for=5"], 1800), ([], []))
        self.assertEqual(reconnecting("nbd", ["uri=nbd://x"], 1800),
                         (["retry"], ["retries=180", "retry-delay=10", "retry-exponential=no"]))
        self.assertEqual(reconnecting("file", ["x"], 1800), ([], []))
        self.assertEqual(reconnecting("vsphere", [], 0), ([], []))

    def test_no_timeout_is_longer_than_the_modules_take(self):
        plan = Plan("/p.toml", (), reconnect_for=datetime.timedelta(days=1))
        made = replication_of(plan, machine("a"), "T")
        self.assertIn("reconnect-for=86400", made.source.parameters)
        self.assertIn("apply-timeout=86400", made.targets.machine.target.parameters)
        self.assertIn(("pull-timeout", "86400"), use_parameters("nbd://x", "state", made.patience))

    def test_a_replication(self):
        plan = Plan("/p.toml", (), limits=Limits(source_rate="10M", disks=2), threads=8)
        made = replication_of(plan, machine("a", states="/s/a/"), "T")
        self.assertEqual(made.source.parameters, ("vm=/DC0/vm/a", "reconnect-for=1800", "rate=83886080"))
        self.assertEqual((made.source_filters, made.at_once, made.threads, made.patience), (("rate",), 2, 8, 1800.0))
        self.assertIn("apply-timeout=1920", made.targets.machine.target.parameters)
        self.assertEqual(made.state, "/s/a/")
        single = replication_of(plan, machine("b", "", "/s/b/", several=False), "T")
        self.assertEqual((single.state, single.several), ("/s/b/disk.state", False))


class Checks(Messages):
    def setUp(self):
        super().setUp()
        self.machine = machine("web1", states=self.path("s", ""))
        self.machine = type(self.machine)(**{**vars(self.machine), "images": self.path("i", "{disk}-{time}")})
        os.makedirs(self.path("s"))
        os.makedirs(self.path("i"))
        self.inventory = Inventory({"/DC0/vm/web1": VmFacts("/DC0/vm/web1", "h", disks={"2000": 1 << 30})})

    def check(self):
        asyncio.run(checks.check_machine(self.machine, self.inventory))

    def free(self, count):
        return mock.patch("os.statvfs", return_value=mock.Mock(f_bavail=count // 4096, f_frsize=4096))

    def night(self, number, size, full=False, result="done", changed=None):
        """A record, and its image with so many bytes."""
        image = self.path("i", f"2000-{number}")
        with open(image, "wb") as file:
            file.write(random.randbytes(size))
        disk = DiskRecord("2000", image, full=full, size=1 << 30, changed=2 * size if changed is None else changed,
                          seconds=2.0, result=result)
        os.makedirs(records_directory(self.machine.states), exist_ok=True)
        write_record(os.path.join(records_directory(self.machine.states), f"2026010{number}T000000Z.json"),
                     RunRecord("web1", "", 0.0, 1.0, "done", disks=(disk,)))

    def test_names(self):
        self.inventory = Inventory({"/DC0/vm/web2": VmFacts("/DC0/vm/web2", "h")})
        with self.assertRaisesRegex(Failure, "vCenter v has no virtual machine /DC0/vm/web1; did you mean /DC0/vm/web2?"):
            self.check()

    def test_room_for_the_first_copy_is_a_guess(self):
        with self.free(1 << 29):
            self.check()
        self.assertEqual(len(self.said), 1)
        self.assertIn("512.0 MiB are free, and the disks that are copied whole have 1024.0 MiB", self.said[0])
        self.said.clear()
        with self.free(1 << 31):
            self.check()
        self.assertEqual(self.said, [])

    def test_room_is_told_by_the_images_of_the_last_runs(self):
        self.night(1, 1 << 22, full=True)
        self.night(2, 1 << 20)
        self.night(3, 1 << 16)
        self.night(4, 1 << 21, result="incomplete")
        with self.free(1 << 21):
            self.check()
        with self.free(1 << 19), self.assertRaisesRegex(Failure, "need about 1.0 MiB, .* and 0.5 MiB are free"):
            self.check()
        self.assertEqual(self.said, [])
        known = history(self.machine)["2000"]
        self.assertEqual((known.size, len(known.records), known.rate()), (1 << 30, 3, float(1 << 20)))

    def test_room_is_not_told_by_what_prune_has_merged_into_an_image(self):
        """The first copy, 32 MiB, has become a part of the image of the second night, which has copied 64 KiB."""
        self.night(2, 32 << 20, changed=1 << 16)
        self.night(3, 1 << 16)
        with self.free(24 << 20):
            self.check()
        with self.free(8 << 20), self.assertRaisesRegex(Failure, "need about 16.2 MiB"):  # with its tables
            self.check()

    def test_a_state_in_use(self):
        state = self.path("s", "2000.state")
        with open(state, "w", encoding="utf-8") as file:
            file.write('{"checkpoint": "c", "owed": [], "size": 4096}')
        self.check()
        with open(state, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with self.assertRaisesRegex(Failure, "2000.state is in use"):
                self.check()

    def test_an_image_in_use(self):
        with open(self.path("image"), "w+b") as file:
            self.assertFalse(is_in_use(self.path("image")))
            fcntl.lockf(file, fcntl.LOCK_SH, 1, 201)  # as QEMU does: nobody else may write
            pid = os.fork()
            if pid == 0:
                os._exit(is_in_use(self.path("image")))
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 1)
        self.assertFalse(is_in_use(self.path("none")))
