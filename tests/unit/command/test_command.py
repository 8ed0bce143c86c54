# SPDX-License-Identifier: BSD-3-Clause
"""Parts of nbdkit-replicate that need no servers: images, states, parameters, command lines, the result."""
import asyncio
import fcntl
import json
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate import images, states  # noqa: E402
from nbdkit_replicate.arguments import parse  # noqa: E402
from nbdkit_replicate.messages import Failure, WrongUse  # noqa: E402
from nbdkit_replicate.parameters import bare, value  # noqa: E402
from nbdkit_replicate.composition.checks import check_replication  # noqa: E402
from nbdkit_replicate.composition.commands import client_command, source_command, uri_of  # noqa: E402
from nbdkit_replicate.programs.process import Process  # noqa: E402
from nbdkit_replicate.programs.source import DiskFacts, SourceDescription  # noqa: E402
from nbdkit_replicate.run.created_image import CreatedImage  # noqa: E402
from nbdkit_replicate.run.interruption import Interruption  # noqa: E402
from nbdkit_replicate.run.machine import MachineRun  # noqa: E402
from nbdkit_replicate.run.result import Result, check_copy  # noqa: E402
from nbdkit_replicate.run.written_file import WrittenFile, distrust_wrong_image  # noqa: E402

UUID = "939e3e98-b009-46ac-99bd-a05e8a00c5bd"


def mark_data(state=2, checkpoint=b"c1", label=b"a.qcow2", length=160, uuid=UUID):
    data = bytes.fromhex(uuid.replace("-", "")) + bytes(16) + bytes([state, len(label), len(checkpoint)]) + bytes(5)
    return (data + bytes(6) + b"\x12\x34" + label + checkpoint).ljust(length, b"\0")


def write_image(path, data=None, dirty=False):
    """The header of one; data: of the extension."""
    header = bytearray(112)
    header[:8] = b"QFI\xfb\0\0\0\3"
    header[79] = dirty
    header[100:104] = (112).to_bytes(4, "big")
    other = (0xE2792ACA).to_bytes(4, "big") + (5).to_bytes(4, "big") + b"qcow2\0\0\0"
    with open(path, "wb") as file:
        file.write(header + other)
        if data is not None:
            file.write((0x4E425249).to_bytes(4, "big") + len(data).to_bytes(4, "big") + data)
        file.write(bytes(512))


def write_state(path, owed=(), checkpoint="c1", image=UUID):
    with open(path, "w", encoding="ascii") as file:
        json.dump({"nbdkit-replicate": 1, "checkpoint": checkpoint, "source": "s", "vm": "", "disk": 1, "size": 4096,
                   "image": image, "owed": [list(pair) for pair in owed]}, file)


class InDirectory(unittest.TestCase):
    def setUp(self):
        self._directory = tempfile.TemporaryDirectory()
        self._before = os.getcwd()
        os.chdir(self._directory.name)

    def tearDown(self):
        os.chdir(self._before)
        self._directory.cleanup()


def disk(*words):
    given = ["--state", "state", "--from", "file", "x", "--to", *(words or ("qcow2", "a.qcow2"))]
    return parse(given).replication.disk(None)


FULL = DiskFacts(4096, 4096, SourceDescription(checkpoint="c1"))
DELTA = DiskFacts(4096, 512, SourceDescription(True, "c0", "c1"))


class Images(InDirectory):
    def test_mark(self):
        write_image("a", mark_data())
        image = images.read_image("a")
        self.assertTrue(image.clean)
        self.assertEqual(image.mark, images.Mark(UUID, "", True, 0x1234, b"c1", False, "a.qcow2"))
        for state, meaning in (0, None), (1, False), (2, True):
            write_image("a", mark_data(state), dirty=True)
            self.assertIs(images.read_image("a").mark.complete, meaning)
            self.assertFalse(images.read_image("a").clean)

    def test_no_mark(self):
        for data in None, mark_data()[:47], mark_data(state=3), mark_data(length=0)[:50], bytes(160):
            write_image("a", data)
            self.assertIsNone(images.read_image("a").mark, data)
        with open("a", "wb") as file:
            file.write(b"QFI\xfa" + bytes(200))
        self.assertRaises(Failure, images.read_image, "a")

    def test_checkpoint_that_was_cut(self):
        cut = images._mark(mark_data(checkpoint=b"c" * 20, length=48 + 7 + 20))
        self.assertTrue(cut.is_of("c" * 30))
        self.assertFalse(cut.is_of("c" * 19))
        whole = images._mark(mark_data(checkpoint=b"c" * 20))
        self.assertFalse(whole.is_of("c" * 30))
        self.assertTrue(whole.is_of("c" * 20))

    def test_file(self):
        for words, file in ((("a",), "a"), (("size=1", "a"), "a"), (("./a=b",), "./a=b"), (("file=a", "file=b"), "b"),
                            (("a", "file=b"), "b"), (("size=1",), None), (("a b\n",), "a b\n")):
            self.assertEqual(images.image_file(words), file)
        self.assertTrue(bare("1a=b"))
        self.assertEqual(value(("a=1", "a=2=3", "ab=4"), "a"), "2=3")

    def test_partial_counts_with_seal_only(self):
        write_image("a.partial")
        self.assertTrue(images.creates_image("qcow2", ["a"]))
        for seal in "seal=on", "seal=T", "seal=@state":
            self.assertFalse(images.creates_image("qcow2", ["a", seal]))
            self.assertTrue(images.creates_image("qcow2", ["a", seal, "create=always"]))
        self.assertTrue(images.creates_image("qcow2", ["a", "seal=off"]))

    def test_state_parameter(self):
        self.assertEqual(images.image_parameters("qcow2", ["a"], "s"), ["a", "state=s"])
        self.assertEqual(images.image_parameters("file", ["a"], "s"), ["a"])
        for word in "seal=@other", "state=other":
            with self.assertRaisesRegex(WrongUse, "leave " + word.partition("=")[0]):
                check_replication(disk("qcow2", "a", word).replication)
        check_replication(disk("qcow2", "a", "seal=@./state").replication)


class Complete(InDirectory):
    def setUp(self):
        super().setUp()
        write_image("a.qcow2", mark_data())
        write_state("state")

    def refused(self, text, facts=FULL, *words):
        with self.assertRaisesRegex(Failure, text):
            check_copy(disk(*words), facts)

    def test_complete(self):
        self.assertEqual(check_copy(disk(), FULL), "state: complete, as of c1")
        write_image("a.qcow2")  # of another program
        write_state("state", image="")
        check_copy(disk(), FULL)

    def test_state(self):
        write_state("state", [(0, 1 << 20)])
        self.refused("1.0 MiB is still owed")
        write_state("state", checkpoint="c0")
        self.refused("still owed", DELTA)
        write_image("a.qcow2", mark_data(checkpoint=b"c0"))
        check_copy(disk(), DiskFacts(4096, 0, DELTA.description))  # nothing has changed
        os.unlink("state")
        self.refused("cannot read state")

    def test_image(self):
        for data, dirty, text in ((mark_data(1), False, "not marked as complete"),
                                  (mark_data(0), False, "not marked as complete"),
                                  (mark_data(), True, "not closed cleanly"),
                                  (mark_data(checkpoint=b"c0"), False, "not the image that was written"),
                                  (mark_data(uuid=UUID[:-1] + "e"), False, "not the image that was written"),
                                  (None, False, "not the image that was written")):
            write_image("a.qcow2", data, dirty)
            self.refused(text)
        os.unlink("a.qcow2")
        self.refused("is not there any more")

    def test_name(self):
        write_image("a.qcow2.partial", mark_data())
        check_copy(disk(), FULL)
        self.refused("still called a.qcow2.partial", FULL, "qcow2", "a.qcow2", "seal=on")

    def test_result_of_all(self):
        self.assertEqual(Result.of_all([Result.DONE, Result.BEHIND, Result.INCOMPLETE]), Result.INCOMPLETE)
        self.assertEqual(Result.of_all([Result.BEHIND, Result.DONE]), Result.BEHIND)
        self.assertEqual(Result.of_all([Result.DONE]), Result.DONE)


class Distrust(InDirectory):
    def owes_all(self):
        return states.read_state("state") == states.State("", 4096, UUID, 4096)

    def test_older_image(self):
        write_image("a.qcow2", mark_data(checkpoint=b"c0"))
        write_state("state")
        os.chmod("state", 0o640)
        distrust_wrong_image(disk())
        self.assertTrue(self.owes_all())
        self.assertEqual(os.stat("state").st_mode & 0o777, 0o640)
        self.assertEqual(sorted(os.listdir()), ["a.qcow2", "state", "state.lock"])

    def test_what_is_not_older(self):
        for data, fields in ((mark_data(), {}), (mark_data(1, b""), {}), (mark_data(0, b""), {}), (None, {}),
                             (mark_data(checkpoint=b"c0"), {"image": UUID[:-1] + "e"}),
                             (mark_data(checkpoint=b"c0"), {"checkpoint": ""})):
            write_image("a.qcow2", data)
            write_state("state", **fields)
            distrust_wrong_image(disk())
            self.assertFalse(os.path.exists("state.lock"), (data, fields))

    def test_state_in_use(self):
        write_image("a.qcow2", mark_data(checkpoint=b"c0"))
        for name in "state.lock", "state":
            write_state("state")
            with open(name, "a", encoding="ascii") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                distrust_wrong_image(disk())
            self.assertFalse(self.owes_all())

    def test_file_of_another_plugin(self):
        write_state("state")
        for name in "a", "b":
            with open(name, "wb"):
                pass
        written = WrittenFile.of(disk("file", "a"))
        self.assertFalse(written.is_replaced())
        os.rename("b", "a")
        self.assertTrue(written.is_replaced())
        os.unlink("a")
        self.assertTrue(written.is_replaced())
        self.assertIsNone(WrittenFile.of(disk("memory", "1M")))
        write_image("a.qcow2", mark_data())
        self.assertIsNone(WrittenFile.of(disk()))  # looks for itself


class Created(InDirectory):
    def created(self):
        return CreatedImage.of(disk("qcow2", "a.qcow2", "seal=on"))

    def test_an_image_that_the_run_has_made(self):
        created = self.created()
        write_image("a.qcow2.partial", mark_data(state=1))
        created.remove_if_unused()
        self.assertEqual(os.listdir(), [])

    def test_one_that_it_has_completed_stays(self):
        write_image("a.qcow2.partial", mark_data(state=1))
        created = self.created()
        os.rename("a.qcow2.partial", "a.qcow2")
        created.remove_if_unused()
        self.assertEqual(os.listdir(), ["a.qcow2"])


class Commands(InDirectory):
    def test_client_flushes(self):
        self.assertIn("--flush", client_command("nbdcopy", "a", "b"))
        self.assertIn("writeback", client_command("qemu-img", "a", "b"))

    def test_client_holds_little_memory(self):
        words = client_command("nbdcopy", "a", "b")
        requests = next(int(word.partition("=")[2]) for word in words if word.startswith("--requests="))
        self.assertLessEqual(requests * min(os.cpu_count(), 4) * 256, 16 << 10)  # KiB, of all connections
        self.assertGreaterEqual(requests, 16)  # as many as nbdkit handles at the same time

    def test_coalesce_is_above_the_filter_that_knows_what_has_changed(self):
        def filters(*source):
            replication = parse(["--state", "s", "--from", *source, "--to", "file", "copy"]).replication
            return [word.partition("=")[2] for word in source_command(replication) if word.startswith("--filter=")]

        self.assertEqual(filters("vsphere", "vm=web1"), ["delta", "coalesce"])
        self.assertEqual(filters("nbd", "uri=u", "delta-map=list"), ["coalesce", "delta"])

    def test_changes_are_asked_for_also_where_vsphere_is_given_as_a_file(self):
        for plugin in ("vsphere", "./nbdkit-vsphere-plugin.so"):
            replication = parse(["--state", "s", "--from", plugin, "vm=web1", "--to", "file", "copy"]).replication
            self.assertIn(f"since=@{replication.state}", source_command(replication))

    def test_memory_of_the_source_is_limited_where_the_user_has_not_said_how(self):
        def memory(*source):
            replication = parse(["--state", "s", "--from", "nbd", "uri=u", *source, "--to", "file", "copy"]).replication
            return [word for word in source_command(replication) if word.startswith("coalesce-memory=")]

        self.assertEqual(memory(), ["coalesce-memory=48M"])
        self.assertEqual(memory("coalesce-memory=1G"), ["coalesce-memory=1G"])
        self.assertEqual(memory("coalesce-chunk=64M"), [])
        self.assertEqual(memory("coalesce-priority=/list"), [])

    def test_the_source_of_pull_has_as_many_threads_as_pull_has_requests(self):
        def threads(client):
            replication = parse(["--client", client, "--state", "s", "--from", "nbd", "uri=u", "--to", "file", "copy"]).replication
            command = source_command(replication)
            return command[command.index("-t") + 1] if "-t" in command else None

        self.assertEqual(threads("pull"), "8")
        self.assertIsNone(threads("nbdcopy"))

    def test_names_are_quoted(self):
        self.assertEqual(uri_of("/a b#/s", "disk 1?"), "nbd+unix:///disk%201%3F?socket=/a%20b%23/s")

    def test_one_place_for_several_disks(self):
        with self.assertRaisesRegex(WrongUse, "put {disk}"):
            check_replication(parse(["--state", "d/", "--from", "file", "dir=x", "--to", "qcow2", "compress=zstd",
                                     "a.qcow2", "apply-destination={disk}"]).replication)


class AtOnce(InDirectory):
    def test_no_more_disks_than_that_at_the_same_time(self):
        running, most = set(), []

        class Disk:
            async def run(self):
                running.add(self)
                most.append(len(running))
                for _ in range(10):
                    await asyncio.sleep(0)
                running.remove(self)
                return Result.DONE

        for at_once in 1, 3:
            most.clear()
            words = ["--at-once", str(at_once), "--state", "d/", "--from", "file", "dir=x", "--to", "qcow2", "{disk}"]
            machine = MachineRun(parse(words).replication, None, None)
            results = asyncio.run(machine._run_all([Disk() for _ in range(7)]))
            self.assertEqual(results, [Result.DONE] * 7)
            self.assertEqual(max(most), at_once)


class Signals(unittest.TestCase):
    def test_programs_have_a_process_group_of_their_own(self):
        async def group():
            process = await Process.start(["sleep", "60"])
            try:
                return os.getpgid(process.id)
            finally:
                process.kill()
                await process.wait()
        self.assertNotEqual(asyncio.run(group()), os.getpgrp())

    def test_nothing_is_begun_after_a_signal_and_the_second_one_kills(self):
        class Victim:
            killed = 0

            def kill(self):
                self.killed += 1

        async def run():
            interruption, victim = Interruption(), Victim()
            with interruption.handle_signals(), interruption.expendable(victim):
                with self.assertRaises(Failure), interruption.scope():
                    os.kill(os.getpid(), 15)
                    await asyncio.sleep(60)
                self.assertEqual(victim.killed, 0)
                with self.assertRaises(Failure), interruption.scope():
                    self.fail("a client would be started")
                os.kill(os.getpid(), 2)
                for _ in range(1000):
                    if victim.killed:
                        break
                    await asyncio.sleep(0.01)
                self.assertEqual(victim.killed, 1)
                late = Victim()
                with interruption.expendable(late):
                    self.assertEqual(late.killed, 1)
        asyncio.run(run())
