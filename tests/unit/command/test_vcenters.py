# SPDX-License-Identifier: BSD-3-Clause
"""What is asked of vCenters before a run, and what becomes of their failures."""
import asyncio
import datetime
import os
import socket
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate.composition.replication import Module  # noqa: E402
from nbdkit_replicate.many import vcenters as room  # noqa: E402
from nbdkit_replicate.many.selection import Choice, Selection  # noqa: E402
from nbdkit_replicate.many.vcenters import UNKNOWN, VCenters  # noqa: E402
from nbdkit_replicate.messages import Failure, Refused, messages_to  # noqa: E402
from nbdkit_replicate.plan.plan import Folder, Limits, Machine, Plan, VCenter  # noqa: E402
from nbdkit_replicate.vcenter import machine as one_machine  # noqa: E402
from nbdkit_replicate.vcenter.inventory import Away, Inventory, VmFacts, ask  # noqa: E402
from nbdkit_replicate.vcenter.session import host_and_port, kind_of  # noqa: E402


def vcenter(name, **fields):
    return VCenter(name, f"{name}.example.com", "u", "/none", **fields)


def machine(name, of="a"):
    return Machine(name, Module("vsphere" if of else "file", (f"vm=/DC0/vm/{name}",)), Module("qcow2", ()), (),
                   "/i/{disk}-{time}", f"/s/{name}/", vcenter=of)


def plan(machines, **fields):
    return Plan("/p.toml", tuple(machines), vcenters=(vcenter("a"), vcenter("b")), **fields)


INVENTORY = Inventory({vm.path: vm for vm in (VmFacts("/DC0/vm/web1", "h1"), VmFacts("/DC0/vm/x/web1", "h2"),
                                              VmFacts("/DC0/vm/db", ""))})


class Asking(unittest.TestCase):
    def ask(self, of, *answers):
        """answers: of ask(), one after the other. Returns the VCenters, and what was said."""
        left, said, self.asked = list(answers), [], []

        async def answer(asked, _sizes):
            self.asked.append(asked.name)
            result = left.pop(0)
            if isinstance(result, Exception):
                raise result
            return result

        async def run():
            result = VCenters(of)
            await result.ask()
            return result

        with messages_to(lambda message: said.append(message.text)), mock.patch.object(room, "ask", answer), \
                mock.patch.object(room, "PAUSE", 0.001), mock.patch.object(room, "can_ask", lambda: True):
            return asyncio.run(run()), said

    def test_only_those_that_are_used(self):
        found, said = self.ask(plan([machine("web1"), machine("files", "")]), INVENTORY)
        self.assertEqual((list(found.inventories), self.asked, said), (["a"], ["a"], []))

    def test_a_login_that_is_refused_is_not_tried_again_and_concerns_its_machines_alone(self):
        found, _ = self.ask(plan([machine("web1"), machine("x", "b")]), Refused("wrong"), INVENTORY)
        self.assertEqual(self.asked, ["a", "b"])
        self.assertIsInstance(found.failure("a"), Refused)
        self.assertIsNone(found.failure("b"))

        async def attempt():
            async with found.login(machine("web1")).attempt():
                self.fail("it is tried")
        with self.assertRaises(Refused):
            asyncio.run(attempt())

    def test_one_that_is_away_is_asked_again_and_that_is_said_once(self):
        found, said = self.ask(plan([machine("web1")]), *[Away("a: no route") for _ in range(3)], INVENTORY)
        self.assertIn("a", found.inventories)
        self.assertEqual(said[:1], ["a: no route; it is asked again for up to 0:30:00"])
        self.assertRegex("\n".join(said[1:]), r"^vCenter a answers again, after \d+ seconds$")

    def test_one_that_stays_away(self):
        found, said = self.ask(plan([machine("web1")], reconnect_for=datetime.timedelta()), Away("no route"))
        self.assertEqual((str(found.failure("a")), said), ("no route", []))

    def test_hosts(self):
        machines = [machine("web1"), machine("db"), machine("gone"), machine("files", "")]
        found, _ = self.ask(plan(machines, limits=Limits(per_host=2)), INVENTORY)
        self.assertEqual([found.host(one) for one in machines], ["h1", UNKNOWN, UNKNOWN, ""])
        found, _ = self.ask(plan(machines), INVENTORY)
        self.assertEqual({found.host(one) for one in machines}, {""})

    def test_without_the_library(self):
        folder = Folder("a", "/DC0/vm", (), (), machine("{vm}"), 7)
        with mock.patch.object(room, "can_ask", lambda: False):
            asyncio.run(VCenters(plan([machine("web1")])).ask())
            for of, what in (plan([machine("web1")], limits=Limits(per_host=1)), "limits.per-host"), (
                    plan([], folders=(folder,)), "folder"):
                with self.assertRaisesRegex(Failure, f"{what}.* needs .* install python3-pyvmomi"):
                    asyncio.run(VCenters(of).ask())

    def test_folders_of_others_are_not_looked_into_for_a_machine_that_is_named(self):
        folder = Folder("b", "/DC0/vm", (), (), machine("{vm}", "b"), 7)
        selection = Selection(plan([machine("web1")], folders=(folder,)), Choice(("web1",)))
        self.assertEqual(selection.plan.folders, ())


class Selecting(unittest.TestCase):
    FOLDER = Folder("b", "/DC0/vm", (), (), machine("{vm}", "b"), 7)

    def select(self, choice, *answers):
        left = dict(zip(("a", "b"), answers))

        async def answer(asked, _sizes):
            if isinstance(left[asked.name], Exception):
                raise left[asked.name]
            return left[asked.name]

        async def run():
            selection = Selection(plan([machine("web1")], folders=(self.FOLDER,)), choice)
            return [one.name for one in await selection.machines()], [folder.path for folder in selection.left]

        with mock.patch.object(room, "ask", answer), mock.patch.object(room, "can_ask", lambda: True):
            return asyncio.run(run())

    def test_a_folder_that_cannot_be_looked_into_does_not_hurt_the_others(self):
        self.assertEqual(self.select(Choice(), INVENTORY, Refused("wrong")), (["web1"], ["/DC0/vm"]))

    def test_a_machine_that_may_be_in_such_a_folder(self):
        with self.assertRaisesRegex(Refused, "wrong"):
            self.select(Choice(("db",)), INVENTORY, Refused("wrong"))
        with self.assertRaisesRegex(Failure, "the plan has no machine xyz"):
            self.select(Choice(("xyz",)), INVENTORY, Inventory({}))


class Inventories(unittest.TestCase):
    def test_finding(self):
        inventory = Inventory({path: VmFacts(path, "h") for path in ("/DC0/vm/web1", "/DC0/vm/x/web1", "/DC0/vm/a%2fb")})
        self.assertEqual(inventory.find("/DC0/vm/x/web1").path, "/DC0/vm/x/web1")
        self.assertEqual(inventory.find("/DC0/vm/a%2Fb").path, "/DC0/vm/a%2fb")
        self.assertEqual(inventory.find("a%2Fb").path, "/DC0/vm/a%2fb")
        self.assertEqual(inventory.find("a/b").path, "/DC0/vm/a%2fb")
        self.assertEqual(inventory.find("DC0/vm/web1/").path, "/DC0/vm/web1")
        self.assertEqual(inventory.find("/dc0/VM/web1").path, "/DC0/vm/web1")
        self.assertIsNone(inventory.find("/DC0/vm/y/web1"))
        self.assertIsNone(inventory.find("web1"))  # two
        self.assertEqual([vm.name for vm in inventory.below("/DC0/vm/x")], ["web1"])


class OneSession(unittest.TestCase):
    def test_a_login_that_is_refused_is_not_tried_again(self):
        asked = mock.AsyncMock(return_value=b'{"error": "the password is wrong", "kind": "refused"}\n')

        async def run():
            async with one_machine.Session(vcenter("a")) as session:
                one = one_machine.VirtualMachine(session, "vm-42")
                for question in one.power_state, one.power_state, lambda: one.remove_snapshot("x"):
                    with self.assertRaisesRegex(Refused, "^vCenter a .*: the password is wrong$"):
                        await question()

        with mock.patch.object(one_machine.Session, "_answer", asked):
            asyncio.run(run())
        self.assertEqual(asked.await_count, 1)


class Program(unittest.TestCase):
    def test_nobody_listens(self):
        with socket.socket() as closed, tempfile.NamedTemporaryFile() as password:
            closed.bind(("127.0.0.1", 0))
            one = VCenter("a", f"127.0.0.1:{closed.getsockname()[1]}", "u", password.name)
            with self.assertRaisesRegex(Away, r"vCenter a \(127.0.0.1:\d+\): Connection refused"):
                asyncio.run(ask(one))

    def test_no_password_file(self):
        with self.assertRaisesRegex(Failure, "vCenter a .*: /none: No such file or directory") as raised:
            asyncio.run(ask(vcenter("a")))
        self.assertNotIsInstance(raised.exception, (Away, Refused))

    def test_one_that_hangs(self):
        with socket.create_server(("127.0.0.1", 0)) as server, tempfile.NamedTemporaryFile() as password, \
                mock.patch("nbdkit_replicate.vcenter.inventory.DEADLINE", 0.3):
            one = VCenter("a", f"127.0.0.1:{server.getsockname()[1]}", "u", password.name)
            with self.assertRaisesRegex(Away, "has not answered for 0 seconds"):
                asyncio.run(ask(one))

    def test_servers(self):
        self.assertEqual([host_and_port(text) for text in ("vc", "vc:8443", "[::1]:8443", "[::1]", "::1")],
                         [("vc", 443), ("vc", 8443), ("::1", 8443), ("::1", 443), ("::1", 443)])

    def test_kinds(self):
        errors = ConnectionResetError(), TimeoutError(), OSError(113, "x"), OSError(2, "x"), ValueError()
        self.assertEqual([kind_of(error) for error in errors], ["away", "away", "away", "", ""])
