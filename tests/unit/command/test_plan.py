# SPDX-License-Identifier: BSD-3-Clause
"""Plans: what they come to, and the file, line and key of each error."""
import datetime
import os
import re
import sys
import tempfile
import textwrap
import tomllib
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate.composition.replication import Destination, Module  # noqa: E402
from nbdkit_replicate.messages import WrongUse  # noqa: E402
from nbdkit_replicate.plan.document import Table  # noqa: E402
from nbdkit_replicate.plan.folders import choose, with_folders  # noqa: E402
from nbdkit_replicate.plan.lines import lines_of_keys  # noqa: E402
from nbdkit_replicate.plan.plan import Keep, Limits, Window  # noqa: E402
from nbdkit_replicate.plan.reading import read_plan  # noqa: E402
from nbdkit_replicate.vcenter.inventory import Inventory, VmFacts  # noqa: E402

HEAD = '''
images = "images/{vm}/{disk}-{time}.qcow2"
[vcenter.main]
server = "vc.example.com"
user = "backup"
password-file = "/etc/vc.pass"
'''


class Plans(unittest.TestCase):
    def setUp(self):
        self._directory = tempfile.TemporaryDirectory()
        self.addCleanup(self._directory.cleanup)
        self.path = os.path.join(self._directory.name, "plan.toml")

    def read(self, text):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text).lstrip("\n"))
        return read_plan(self.path)

    def assert_wrong(self, text, line, message):
        """message: what follows the file and the line."""
        with self.assertRaises(WrongUse) as raised:
            self.read(text)
        self.assertEqual(str(raised.exception), f"{self.path}:{line}: {message}")


class Values(Plans):
    def test_a_machine_of_a_vcenter(self):
        plan = self.read(HEAD + '''
            cafile = "vc.pem"
            parameters = ["quiesce=yes"]
            [[vm]]
            path = "/DC0/vm/web1"
            parameters = ["coalesce-memory=64M"]
            disks = ["2000"]''')
        machine = plan.machines[0]
        here = self._directory.name
        self.assertEqual(machine.name, "web1")
        self.assertEqual(machine.source, Module("vsphere", (
            "server=vc.example.com", "user=backup", "password=+/etc/vc.pass", f"cafile={here}/vc.pem", "vm=/DC0/vm/web1",
            "quiesce=yes", "coalesce-memory=64M")))
        self.assertEqual(machine.images, here + "/images/web1/{disk}-{time}.qcow2")
        self.assertEqual(machine.states, "/var/lib/nbdkit-replicate/web1/")
        self.assertEqual((machine.disks, machine.vcenter, machine.several), (("2000",), "main", True))

    def test_defaults_and_what_a_machine_says_itself(self):
        plan = self.read('''
            images = "/i/{vm}/{disk}-{time}"
            states = "/s/{vm}"
            target-parameters = ["compress=zstd"]
            keep = { last = 3, weekly = 2 }
            longest-chain = 5
            limits = { destination-rate = "20M" }
            [[also]]
            uri = "nbds://dr/{vm}-{disk}"
            name = "dr {vm}"
            [vm.a]
            source = ["file", "/d/{vm}.img"]
            [vm.b]
            source = ["file", "dir=/d"]
            images = "/other/{disk}-{time}"
            keep = { daily = 1 }
            longest-chain = 0
            also = [{ uri = "nbd://x/{disk}", rate = "1M", parameters = ["fanout-retries=1"] }]
            target-parameters = []
            ''')
        a, b = plan.machines
        self.assertEqual(a.source, Module("file", ("/d/a.img",)))
        self.assertEqual(a.images, "/i/a/{disk}-{time}")
        self.assertEqual(a.states, "/s/a/")
        self.assertEqual(a.target, Module("qcow2", ("compress=zstd",)))
        self.assertEqual(a.also, (Destination("nbds://dr/a-{disk}", ("fanout-name=dr a", "fanout-rate=20M")),))
        self.assertEqual((a.keep, a.longest_chain, a.several), (Keep(last=3, weekly=2), 5, False))
        self.assertEqual(b.images, "/other/{disk}-{time}")
        self.assertEqual(b.target, Module("qcow2", ()))
        self.assertEqual(b.also, (Destination("nbd://x/{disk}", ("fanout-retries=1", "fanout-rate=1M")),))
        self.assertEqual((b.keep, b.longest_chain, b.several), (Keep(daily=1), 0, True))

    def test_the_rest(self):
        plan = self.read('''
            window = "22:00-06:30"
            metrics = "x.prom"
            stale-after = "1h30m"
            reconnect-for = "0s"
            threads = 8
            limits = { machines = 6, disks = 2, per-vcenter = 5, per-host = 1, source-rate = "100M" }
            hooks = { before = ["a", "b"], deadline = "2m" }
            images = "/i/{disk}-{time}"
            vm.a.source = ["file", "x"]''')
        self.assertEqual(plan.window, Window(datetime.time(22), datetime.time(6, 30)))
        self.assertEqual(plan.metrics, self._directory.name + "/x.prom")
        self.assertEqual(plan.stale_after, datetime.timedelta(minutes=90))
        self.assertEqual(plan.reconnect_for, datetime.timedelta())
        self.assertEqual(plan.threads, 8)
        self.assertEqual(plan.limits, Limits(machines=6, disks=2, per_vcenter=5, per_host=1, source_rate="100M"))
        self.assertEqual((plan.hooks.before, plan.hooks.after, plan.hooks.deadline), (("a", "b"), (), 120.0))


class Errors(Plans):
    def test_syntax(self):
        self.assert_wrong('a = 1\nb = \n', 2, "column 5: Invalid value")
        self.assert_wrong('a = 1\na = 2\n', 2, "column 6: Cannot overwrite a value")

    def test_no_file(self):
        with self.assertRaisesRegex(WrongUse, "cannot read the plan .*none.toml: No such file"):
            read_plan(self._directory.name + "/none.toml")

    def test_unknown_keys(self):
        for number, (text, line, message) in enumerate((
                ('imagse = "x"\nimages = "/{disk}-{time}"\nvm.a.source = ["f"]', 1, "imagse: there is no such key; did you mean images?"),
                (HEAD + 'pasword-file = "x"', 6, "vcenter.main.pasword-file: there is no such key; did you mean password-file?"),
                (HEAD + '[[vm]]\npath = "/a/vm/b"\n[[vm]]\n\npath = "/a/vm/c"\nxyz = 1', 11,
                 "vm[2].xyz: there is no such key; known are also, disk-name, disks, images, keep, longest-chain, name, "
                 "parameters, path, several-disks, source, states, target-parameters, vcenter"),
                (HEAD + '[[vm]]\npath = "/a/vm/b"\nkeep = { last = 1, lats = 2 }', 8,
                 "vm[1].keep.lats: there is no such key; did you mean last?"),
                (HEAD + '[[folder]]\npath = "/a"\n[[also]]\nuri = "nbd://{disk}"\nrat = "1"', 10,
                 "also[1].rat: there is no such key; did you mean rate?"),
                ('[limits]\nmachine = 1', 2, "limits.machine: there is no such key; did you mean machines?"),
                ('hooks = { before = ["x"],after = ["x"], fail = ["x"] }', 1,
                 "hooks.fail: there is no such key; did you mean failure?"))):
            with self.subTest(number):
                self.assert_wrong(text, line, message)

    def test_wrong_values(self):
        vm = 'images = "/{disk}-{time}"\nvm.a.source = ["f"]\n'
        for text, line, message in (
                ('images = 1', 1, "images: must be a text, not 1"),
                ('images = ""', 1, "images: must not be empty"),
                ('images = "/x-{time}"', 1, "images: must have {disk} in it: /x-{time}"),
                ('images = "/{time}/{disk}"', 1, "images: must have {time} in the name of the file, not in that of a directory: images "
                 "lie beside those that they are made over: /{time}/{disk}"),
                (vm + 'limits.machines = 0', 3, "limits.machines: must be at least 1, not 0"),
                (vm + 'limits.machines = true', 3, "limits.machines: must be a number, not true"),
                (vm + 'limits.source-rate = "fast"', 3,
                 'limits.source-rate: "fast" is not a rate in bytes a second, such as 500K or 20M'),
                (vm + '\nstale-after = "2 days"', 4, 'stale-after: "2 days" is not a duration such as 90s, 30m, 26h or 2d'),
                (vm + 'critical-after = "1h"', 3, "critical-after: must not be less than stale-after"),
                (vm + 'reconnect-for = "2d"', 3, "reconnect-for: must not be longer than 1d"),
                (vm + 'window = "22-06"', 3, 'window: "22-06" is not a time window such as 22:00-06:00'),
                (vm + 'window = "25:00-06:00"', 3, 'window: "25:00-06:00" is not a time window such as 22:00-06:00'),
                (vm + 'window = "01:00-01:00"', 3, "window: the window is empty: it begins when it ends"),
                (vm + 'keep = "all"', 3, 'keep: must be a table, not "all"'),
                (vm + 'also = ["nbd://x"]', 3, 'also[1]: must be a table, not "nbd://x"'),
                (vm + '[[also]]\nuri = "nbd://x"', 4,
                 "also[1].uri: must have {disk} in it, which stands for the name of each disk: nbd://x"),
                (vm + 'target-parameters = [\n "compress=zstd",\n "file=x"]', 3,
                 "target-parameters[2]: file=x: is given by the run itself"),
                (vm + 'hooks.before = "x"', 3, 'hooks.before: must be an array of texts, not "x"'),
                (vm + 'hooks.deadline = "0s"', 3, "hooks.deadline: must be longer than that")):
            with self.subTest(text):
                self.assert_wrong(text, line, message)

    def test_wrong_machines(self):
        images = 'images = "/{disk}-{time}"\n'
        for text, line, message in (
                ('threads = 1', 1, "the plan names no machine: add [[vm]] or [[folder]]"),
                ('vm = 1', 1, "vm: must be an array of tables, or tables [vm.NAME], not 1"),
                ('[[vm]]\nsource = ["file", "x"]', 1, "vm[1]: images is missing, here or at the head of the plan: the name of an "
                 'image, such as "/backup/{vm}/{disk}-{time}.qcow2"'),
                (images + '[[vm]]\nsource = ["file", "x"]', 2, "vm[1]: name is missing"),
                (images + '[[vm]]\nname = "a/b"\nsource = ["file", "x"]', 3,
                 'vm[1].name: "a/b" cannot be part of a file name: it must not begin with a dot nor have "/" or "{" in it'),
                (images + '[vm.a]\nsource = []', 3, "vm.a.source: must name a plugin, and its parameters"),
                (images + '[vm.a]\nsource = ["x", "password=-"]', 3,
                 "vm.a.source: password=-: nobody is there to be asked: use password=+FILE"),
                (images + '[vm.a]\nsource = ["x"]\nvcenter = "v"', 4,
                 "vm.a.vcenter: cannot be used with source, which names another plugin and its parameters"),
                (images + '[vm.a]\npath = "/x"', 2, "vm.a: vcenter is missing: the plan has no [vcenter.NAME]"),
                (HEAD + '[vm.a]\npath = "/x"\nvcenter = "man"', 8, "vm.a.vcenter: the plan has no [vcenter.man]"),
                (HEAD + '[vcenter.b]\nserver = "x"\nuser = "y"\npassword-file = "p"\n[vm.a]\npath = "/x"', 10,
                 "vm.a: vcenter is missing: one of main, b"),
                (HEAD + 'cafile = "x"\ninsecure = true', 7, "vcenter.main.insecure: cannot be used with cafile"),
                ('[vcenter.x]\nserver = "v"', 1, "vcenter.x: user is missing: the name to log in with"),
                (images + '[vm.a]\nsource = ["file", "x"]\ndisks = ["x"]', 4, "vm.a.disks: cannot be used with a source of a single "
                 "disk; if it lists its disks, add several-disks = true"),
                (images + '[vm.a]\nsource = ["file", "dir=x"]\ndisk-name = "x"', 4,
                 "vm.a.disk-name: is for a source of a single disk; this one lists its disks"),
                (HEAD.replace("{vm}/", "") + '[[folder]]\npath = "/x"', 6,
                 "folder[1]: images must have {vm} in it, which stands for the name of each machine: "
                 + self._directory.name + "/images/{disk}-{time}.qcow2"),
                (HEAD + '[[folder]]\npath = "/x"\nalso = [{ uri = "nbd://dr/{disk}" }]', 8,
                 "folder[1].also: must have {vm} in it, which stands for the name of each machine: nbd://dr/{disk}"),
                (HEAD + '[[folder]]\npath = "/x"\ntarget-parameters = ["fanout-state=/f/{disk}"]', 8,
                 "folder[1].target-parameters: must have {vm} in it, which stands for the name of each machine: "
                 "fanout-state=/f/{disk}"),
                (HEAD + '[[folder]]\npath = "/x"\nparameters = ["coalesce-stats=/x.prom"]', 8,
                 "folder[1].parameters: must have {vm} in it, which stands for the name of each machine: coalesce-stats=/x.prom")):
            with self.subTest(text):
                self.assert_wrong(text, line, message)

    def test_machines_that_have_something_in_common(self):
        two = '\n[[vm]]\nname = "a"\nsource = ["file", "x"]\n[[vm]]\nname = "b"\nsource = ["file", "x"]\n'
        hint = ": put {vm} into it, which stands for the name of each machine"
        images = 'images = "/{vm}/{disk}-{time}"'
        self.assert_wrong(images + two.replace('"b"', '"a"'), 6, "vm[2].name: two machines are called a")
        self.assert_wrong('images = "/{disk}-{time}"' + two, 5, "vm[2]: a and b would have the images /{disk}-{time}" + hint)
        self.assert_wrong(images + two + 'states = "/var/lib/nbdkit-replicate/a"', 8,
                          "vm[2].states: a and b would have the states /var/lib/nbdkit-replicate/a/" + hint)
        self.assert_wrong(images + '\nalso = [{uri = "nbd://x/{disk}"}]' + two, 6,
                          "vm[2]: a and b would be written to nbd://x/{disk}" + hint)
        self.assert_wrong(images + '\ntarget-parameters = ["apply-stats=/x/{disk}"]' + two, 6,
                          "vm[2]: a and b would have the same apply-stats=/x/{disk}" + hint)
        shared = 'also = [{uri = "nbd://x/{vm}-{disk}", parameters = ["fanout-stats=/x"]}]'
        self.assert_wrong(images + "\n" + shared + two, 6, "vm[2]: a and b would have the same fanout-stats=/x" + hint)


class Lines(unittest.TestCase):
    def test_values_of_several_lines_and_strings_with_anything_in_them(self):
        text = textwrap.dedent("""\
            a = '''
            b = 1
            [c]'''
            d = [ # ]
              "x]", '[',
            ]
            "e f" = "\\"[" # "
            [ g . h ]
            i.j = {k = "}"}

            [[l]]
            m = 1
            [[l]]
            m = 2
            [l.n]
            o = 3
            """)
        lines = lines_of_keys(text)
        self.assertEqual({key: line for key, line in lines.items() if key not in (("g",), ("g", "h", "i"), ("l",))}, {
            ("a",): 1, ("d",): 4, ("e f",): 7, ("g", "h"): 8, ("g", "h", "i", "j"): 9, ("l", 0): 11, ("l", 0, "m"): 12,
            ("l", 1): 13, ("l", 1, "m"): 14, ("l", 1, "n"): 15, ("l", 1, "n", "o"): 16})


class Folders(Plans):
    INVENTORY = Inventory({vm.path: vm for vm in (
        VmFacts("/DC0/vm/prod/web1", "h"), VmFacts("/DC0/vm/prod/web2", "h"), VmFacts("/DC0/vm/prod/deep/db", "h"),
        VmFacts("/DC0/vm/prod/tests/web2", "h"), VmFacts("/DC0/vm/prod/golden", "h", template=True),
        VmFacts("/DC0/vm/production", "h"), VmFacts("/DC0/vm/prod/a%2fb", "h"))})

    def expand(self, text, inventory=None):
        plan = self.read(HEAD + text)
        return with_folders(plan, {"main": inventory or self.INVENTORY})

    def test_folders_in_it_belong_to_it_and_templates_do_not(self):
        plan = self.expand('[[folder]]\npath = "/DC0/vm/prod/"\nexclude = ["web2"]')
        self.assertEqual([machine.name for machine in plan.machines], ["a%2fb", "db", "web1"])
        self.assertEqual(plan.folders, ())
        self.assertIn("vm=/DC0/vm/prod/deep/db", plan.machines[1].source.parameters)
        self.assertTrue(plan.machines[1].images.endswith("/images/db/{disk}-{time}.qcow2"))

    def test_include(self):
        plan = self.expand('[[folder]]\npath = "/DC0/vm/prod"\ninclude = ["web*", "d?"]\nexclude = ["*2"]')
        self.assertEqual([machine.name for machine in plan.machines], ["db", "web1"])

    def test_a_machine_of_its_own_is_not_taken_again(self):
        plan = self.expand('[[vm]]\npath = "/DC0/vm/prod/web1"\nkeep = {last = 9}\n[[folder]]\npath = "/DC0/vm/prod"\n'
                           'include = ["web1"]')
        self.assertEqual([machine.keep.last for machine in plan.machines], [9])

    def test_two_of_one_name(self):
        with self.assertRaisesRegex(WrongUse, r"plan.toml:6: folder /DC0/vm/prod: /DC0/vm/prod/web2 has the same name as "
                                    "/DC0/vm/prod/tests/web2: add a"):
            self.expand('[[folder]]\npath = "/DC0/vm/prod"')

    def test_a_place_of_another_machine(self):
        with self.assertRaisesRegex(WrongUse, "plan.toml:9: folder /DC0/vm/prod: other and web1 would have the images .*/images/web1/"):
            self.expand('[[vm]]\npath = "/DC0/vm/other"\nimages = "images/web1/{disk}-{time}.qcow2"\n[[folder]]\n'
                        'path = "/DC0/vm/prod"\ninclude = ["web1"]')

    def test_many_machines(self):
        inventory = Inventory({f"/DC0/vm/prod/{i}": VmFacts(f"/DC0/vm/prod/{i}", "h") for i in range(3000)})
        plan = self.expand('[[folder]]\npath = "/DC0/vm/prod"\nalso = [{uri = "nbd://x/{vm}-{disk}"}]', inventory)
        self.assertEqual(len(plan.machines), 3000)

    def test_a_vcenter_that_was_not_asked(self):
        plan = self.read(HEAD + '[[folder]]\npath = "/DC0/vm/prod"')
        self.assertEqual(with_folders(plan, {}).folders, plan.folders)

    def test_choosing(self):
        plan = self.expand('[[folder]]\npath = "/DC0/vm/prod"\nexclude = ["web2"]')
        self.assertEqual([machine.name for machine in choose(plan, ["web1", "web1"]).machines], ["web1"])
        self.assertEqual(choose(plan, []), plan)
        with self.assertRaisesRegex(WrongUse, "the plan has no machine web9; it has a%2fb, db, web1"):
            choose(plan, ["web9"])


class Documents(unittest.TestCase):
    """The example and the manual page have the keys that the code has."""

    def known(self):
        """Pairs of a table and a key that a reader of the example asks for."""
        found = set()

        def get(table, key, *arguments):
            found.add((self.table(table.key), key))
            return original(table, key, *arguments)

        original = Table.get
        with mock.patch.object(Table, "get", get):
            read_plan(os.path.join(os.environ["SOURCE"], "scripts/examples/plan.toml"))
        return found

    @staticmethod
    def table(key):
        """vm, whether it is [[vm]] or [vm.NAME]."""
        return ".".join(part for part in key[:1] + key[2:] if isinstance(part, str))

    def keys_of(self, values, key=()):
        for name, value in values.items():
            if key[:1] != ("vcenter",) or len(key) > 1:
                yield self.table(key), name
            for number, one in enumerate(value if isinstance(value, list) else []):
                if isinstance(one, dict):
                    yield from self.keys_of(one, (*key, name, number))
            if isinstance(value, dict):
                yield from self.keys_of(value, (*key, name))

    def test_the_example_has_every_key(self):
        with open(os.path.join(os.environ["SOURCE"], "scripts/examples/plan.toml"), "rb") as file:
            text = file.read().decode()
        shown = set(self.keys_of(tomllib.loads(text)))
        common = {"images", "states", "target-parameters", "longest-chain", "keep", "also"}
        for table, key in sorted(self.known() - shown):
            with self.subTest(f"{table}.{key}"):
                commented = re.search(rf"^# {re.escape(key)} = ", text, re.M)
                for_all = table in ("vm", "folder") and key in common or table in ("vm.also", "vm.keep", "folder.keep")
                self.assertTrue(commented or for_all)

    def test_the_manual_page_has_the_same_keys(self):
        with open(os.path.join(os.environ["SOURCE"], "man/nbdkit-replicate.plan.pod"), encoding="utf-8") as file:
            page = set(re.findall(r"^=item B<([a-z-]+)>$", file.read(), re.M))
        tables = {"vm", "folder", "limits", "hooks"}
        self.assertEqual(page, {key for table, key in self.known() if "keep" not in table} - tables)
