# SPDX-License-Identifier: BSD-3-Clause
"""Restore points, from the headers of images: nbdkit_replicate.points."""
import argparse
import contextlib
import datetime
import fcntl
import io
import json
import os
import struct
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from image_files import TIMES, mark_data, uuid_of, write_image, write_state  # noqa: E402
from nbdkit_replicate import image_marks  # noqa: E402
from nbdkit_replicate.composition.replication import Module  # noqa: E402
from nbdkit_replicate.images import read_image  # noqa: E402
from nbdkit_replicate.messages import Failure, WrongUse  # noqa: E402
from nbdkit_replicate.plan.plan import Machine  # noqa: E402
from nbdkit_replicate.points.choice import choose, moment  # noqa: E402
from nbdkit_replicate.points.machines import points_of  # noqa: E402
from nbdkit_replicate.points.merge import Merge  # noqa: E402
from nbdkit_replicate.points.naming import Name, Naming, time_text  # noqa: E402
from nbdkit_replicate.points.points import Status, points_in  # noqa: E402
from nbdkit_replicate.restore.in_use import is_locked, open_unused  # noqa: E402
from nbdkit_replicate.restore.remote import Remote  # noqa: E402
from nbdkit_replicate.restore.target import FileTarget, target_of  # noqa: E402
from nbdkit_replicate.table import print_table, size_text  # noqa: E402
from nbdkit_replicate.verbs import list as list_verb  # noqa: E402


class Names(unittest.TestCase):
    def test_there_and_back(self):
        for template in "/b/{disk}-{time}.qcow2", "/b/x/{time}-of-{disk}", "/b/{disk}/{time}.qcow2", "/b/{disk}.{disk}.{time}":
            naming = Naming(template)
            for disk in "2000", "a-b", "d-20261101T010000Z":
                path = naming.path(disk, TIMES[0])
                self.assertEqual(naming.parse(path), Name(disk, TIMES[0]), template)
                self.assertEqual(naming.parse(path + ".partial"), Name(disk, TIMES[0]))

    def test_other_names(self):
        naming = Naming("/b/{disk}-{time}.qcow2")
        for name in ("d.qcow2", f"d-{TIMES[0]}.qcow2.digests", f"-{TIMES[0]}.qcow2", f"d-{TIMES[0]}.raw", "d-20261101.qcow2",
                     f"d-{TIMES[0]}xqcow2"):
            self.assertIsNone(naming.parse("/b/" + name), name)

    def test_the_time_is_in_the_name_of_the_file(self):
        for template in "/b/{time}/{disk}.qcow2", "/b/{disk}.qcow2", "/b/{time}.qcow2":
            with self.assertRaises(WrongUse):
                Naming(template)


class InDirectory(unittest.TestCase):
    """Images of a disk are called by numbers, which are their nights and their UUIDs."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.top = directory.name
        self.naming = Naming(f"{self.top}/{{disk}}-{{time}}.qcow2")

    def path(self, number, disk="d", suffix=""):
        return f"{self.top}/{disk}-{TIMES[number]}.qcow2{suffix}"

    def image(self, number, below=0, disk="d", suffix="", state=2, **more):
        write_image(self.path(number, disk, suffix), mark_data(number, below, state, f"c{number}".encode(), completed=number),
                    os.path.basename(self.path(below, disk)) if below else "", **more)

    def statuses(self):
        return [(point.disk, TIMES.index(point.time), point.status) for point in points_in(self.naming)]


class Points(InDirectory):
    def status_is(self, number, status, why):
        point = next(one for one in points_in(self.naming) if one.time == TIMES[number])
        self.assertEqual(point.status, status)
        self.assertRegex(point.why, why or "^$")

    def test_complete(self):
        self.image(1)
        self.image(2, 1)
        self.image(1, disk="e")
        self.assertEqual(self.statuses(),
                         [("d", 1, Status.COMPLETE), ("d", 2, Status.COMPLETE), ("e", 1, Status.COMPLETE)])
        second = points_in(self.naming)[1]
        self.assertEqual((second.checkpoint, second.parent, len(second.chain.images)), ("c2", self.path(1), 2))

    def test_not_complete(self):
        self.image(1, state=1)
        self.status_is(1, Status.INCOMPLETE, "no run")
        self.image(1, state=0)
        self.status_is(1, Status.INCOMPLETE, "no run")
        self.image(1, suffix=".partial", state=1, dirty=True)
        os.unlink(self.path(1))
        self.status_is(1, Status.INCOMPLETE, "no run")

    def test_broken(self):
        self.image(2, 1)
        self.status_is(2, Status.BROKEN, "not there")
        self.image(1, state=1)
        self.status_is(2, Status.BROKEN, "not complete")
        self.image(1)
        self.status_is(2, Status.COMPLETE, "")
        write_image(self.path(1), mark_data(7, 0, 2, b"c"))
        self.status_is(2, Status.BROKEN, "not the image that it was made over")
        write_image(self.path(1))
        self.status_is(2, Status.BROKEN, "not the image that it was made over")
        self.status_is(1, Status.BROKEN, "does not say which image")
        self.image(1, dirty=True)
        self.status_is(1, Status.BROKEN, "another program")
        self.status_is(2, Status.BROKEN, "not closed cleanly")
        with open(self.path(1), "wb") as file:
            file.write(b"QFI\xfb")
        self.status_is(1, Status.BROKEN, "no QCOW2 image")

    def test_the_lowest_lies_on_a_raw_image(self):
        write_image(self.path(1), mark_data(1, 0, 2, b"c"), "base.img", backing_format="raw")
        self.status_is(1, Status.BROKEN, "base.img.* not there")
        with open(f"{self.top}/base.img", "wb"):
            pass
        self.status_is(1, Status.COMPLETE, "")

    def test_other_files(self):
        for name in "notes", "x.qcow2", f"d-{TIMES[1]}.qcow2.digests":
            with open(f"{self.top}/{name}", "wb"):
                pass
        os.mkdir(self.path(3))
        self.assertEqual(self.statuses(), [])

    def merging(self, committed=False):
        for number in range(1, 5):
            self.image(number, number - 1)
        merge = Merge(self.path(3), uuid_of(3), (self.path(2), self.path(1)), committed)
        merge.write()
        self.assertEqual(Merge.read(merge.journal), merge)
        for number in 1, 2:
            image_marks.set_incomplete(self.path(number))

    def test_what_is_merged_is_no_point_and_what_lies_on_it_is(self):
        self.merging()
        self.assertEqual(self.statuses(), [("d", 3, Status.COMPLETE), ("d", 4, Status.COMPLETE)])
        os.unlink(self.path(3) + ".merge")
        self.assertEqual([status for *_, status in self.statuses()],
                         [Status.INCOMPLETE, Status.INCOMPLETE, Status.BROKEN, Status.BROKEN])

    def test_merged_and_not_marked_yet(self):
        self.merging(committed=True)
        image_marks.give_mark(self.path(1), self.path(3), uuid_of(3))
        self.assertEqual(self.statuses(), [("d", 3, Status.COMPLETE), ("d", 4, Status.COMPLETE)])
        os.replace(self.path(1), self.path(3))
        self.assertEqual(self.statuses(), [("d", 3, Status.COMPLETE), ("d", 4, Status.COMPLETE)])
        # A journal that is about other images says nothing of these.
        Merge(self.path(3), uuid_of(9), (self.path(2), self.path(1)), True).write()
        self.assertEqual([status for *_, status in self.statuses()], [Status.INCOMPLETE, Status.BROKEN])

    def test_a_journal_that_cannot_be_read(self):
        self.image(1)
        for text in ("", "[]", '{"nbdkit-replicate-merge":2}',
                     '{"nbdkit-replicate-merge":1,"image":"u","gone":["../x"],"committed":true}',
                     '{"nbdkit-replicate-merge":1,"image":"u","gone":[],"committed":true}'):
            with open(self.path(1) + ".merge", "w", encoding="ascii") as file:
                file.write(text)
            with self.assertRaisesRegex(Failure, "no journal"):
                points_in(self.naming)


class Marks(InDirectory):
    def test_of_another_image(self):
        write_image(self.path(1), mark_data(1, 7, 2, b"c1", b"old.qcow2", length=130, completed=1), filler=40)
        write_image(self.path(2), mark_data(2, 1, 2, b"c" * 90, b"new.qcow2", completed=2), "x")
        image_marks.give_mark(self.path(1), self.path(2), uuid_of(2))
        mark = read_image(self.path(1)).mark
        self.assertEqual((mark.uuid, mark.parent, mark.complete, mark.completed, mark.label),
                         (uuid_of(2), uuid_of(7), False, 2, "new.qcow2"))
        self.assertTrue(mark.cut)
        self.assertTrue(mark.is_of("c" * 90))
        self.assertEqual(len(mark.checkpoint), 130 - 48 - 9)
        image_marks.set_complete(self.path(1), uuid_of(2))
        self.assertTrue(read_image(self.path(1)).mark.complete)
        self.assertEqual(os.path.getsize(self.path(1)), 4096)

    def test_the_wrong_image_is_left_alone(self):
        self.image(1)
        self.image(2)
        with open(self.path(1), "rb") as file:
            before = file.read()
        with self.assertRaisesRegex(Failure, "has been replaced"):
            image_marks.give_mark(self.path(1), self.path(2), uuid_of(3))
        with self.assertRaisesRegex(Failure, "has been replaced"):
            image_marks.set_complete(self.path(1), uuid_of(3))
        with open(self.path(1), "rb") as file:
            self.assertEqual(file.read(), before)
        write_image(self.path(3))
        with self.assertRaisesRegex(Failure, "does not say"):
            image_marks.set_incomplete(self.path(3))


class Choice(InDirectory):
    def setUp(self):
        super().setUp()
        os.mkdir(f"{self.top}/states")

    def machine(self, *disks):
        for disk in disks:
            write_state(f"{self.top}/states/{disk}.state")
        return points_of(Machine("web1", Module("", ()), Module("", ()), (), f"{self.top}/{{disk}}-{{time}}.qcow2",
                                 f"{self.top}/states/"))

    def chosen(self, machine, at=None, disk=None):
        points, self.notes = choose(machine, at, disk)
        return [(point.disk, TIMES.index(point.time)) for point in points]

    def test_the_latest_of_which_all_are_complete(self):
        for number in 1, 2:
            for disk in "d", "e":
                self.image(number, disk=disk)
        self.image(3, disk="d")
        self.image(3, disk="e", state=1)
        machine = self.machine("d", "e")
        self.assertEqual(self.chosen(machine), [("d", 2), ("e", 2)])
        self.assertRegex(self.notes[0], TIMES[3])
        self.assertEqual(self.chosen(machine, disk="d"), [("d", 3)])
        self.assertEqual(self.notes, [])

    def test_a_time_to_come_is_the_last_resort(self):
        later = time_text(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=300))
        write_image(f"{self.top}/d-{later}.qcow2", mark_data(9, 0, 2, b"c"))
        machine = self.machine("d")
        self.assertEqual([point.time for point in choose(machine, None, None)[0]], [later])
        self.image(1)
        machine = self.machine("d")
        self.assertEqual(self.chosen(machine), [("d", 1)])
        self.assertEqual(self.notes, [f"{later} is a time to come, as the clock was wrong, or is now: that is left out; "
                                      f"--at {later} names it"])
        self.assertEqual([point.time for point in choose(machine, later, None)[0]], [later])

    def test_a_disk_without_a_point(self):
        self.image(1)
        with self.assertRaisesRegex(Failure, "no time of which all disks"):
            self.chosen(self.machine("d", "e"))
        self.assertEqual(self.chosen(self.machine(), TIMES[1]), [("d", 1)])
        self.assertRegex(self.notes[0], "disk e")

    def test_a_disk_that_was_added_later(self):
        self.image(1)
        for disk in "d", "e":
            self.image(3, disk=disk)
        machine = self.machine("d", "e")
        self.assertEqual(self.chosen(machine, TIMES[2]), [("d", 1)])
        self.assertEqual(self.chosen(machine), [("d", 3), ("e", 3)])
        self.image(2, disk="e", state=1)  # it was there, and was not complete
        self.assertEqual(self.chosen(machine, TIMES[2]), [("d", 1)])

    def test_at(self):
        for number in 1, 3:
            self.image(number)
        machine = self.machine("d")
        self.assertEqual(self.chosen(machine, TIMES[1]), [("d", 1)])
        self.assertEqual(self.chosen(machine, TIMES[2]), [("d", 1)])
        self.assertEqual(self.chosen(machine, TIMES[9 - 1]), [("d", 3)])
        self.assertEqual(self.chosen(machine, "2026-11-03T23:00Z"), [("d", 1)])
        self.assertEqual(self.chosen(machine, os.path.basename(self.path(3))), [("d", 3)])
        self.assertEqual(self.chosen(machine, self.path(1)), [("d", 1)])
        with self.assertRaisesRegex(Failure, "or earlier"):
            self.chosen(machine, TIMES[0])
        with self.assertRaisesRegex(Failure, "neither a time"):
            self.chosen(machine, "yesterday")

    def test_one_that_is_meant_and_not_complete(self):
        self.image(1)
        self.image(2, state=1)
        machine = self.machine("d")
        with self.assertRaisesRegex(Failure, "cannot be restored: no run"):
            self.chosen(machine, TIMES[2])
        self.assertEqual(self.chosen(machine, "2026-11-30"), [("d", 1)])
        with self.assertRaisesRegex(Failure, "no restore points of the disk x"):
            self.chosen(machine, disk="x")

    def test_moments(self):
        utc = datetime.UTC
        self.assertEqual(moment("20261103T040000Z"), datetime.datetime(2026, 11, 3, 4, tzinfo=utc))
        self.assertEqual(moment("2026-11-03T04:00+02:00"), datetime.datetime(2026, 11, 3, 2, tzinfo=utc))
        local = datetime.datetime(2026, 11, 3, 4).astimezone()
        self.assertEqual(moment("2026-11-03 04:00"), local)
        self.assertEqual(moment("2026-11-03"), datetime.datetime(2026, 11, 3, 23, 59, 59, 999999).astimezone())


class Targets(InDirectory):
    def test_what_a_target_is(self):
        self.assertEqual(target_of(f"{self.top}/a", False, None), FileTarget(os.path.realpath(f"{self.top}/a"), False, "raw"))
        self.assertEqual(target_of(f"{self.top}/a.qcow2", True, None).format, "qcow2")
        self.assertEqual(target_of(f"{self.top}/a.qcow2", True, "raw").format, "raw")
        self.assertIsInstance(target_of("nbd://host/x", False, "raw"), Remote)
        with self.assertRaises(WrongUse):
            target_of("nbd://host/x", False, "qcow2")

    def test_uris_for_the_nbd_plugin(self):
        self.assertEqual(Remote("nbd+unix:///a/b?socket=/x y").parameters(), ["uri=nbd+unix:///a/b?socket=/x+y"])
        self.assertEqual(Remote("nbds://h:1/e?tls-certificates=/c&tls-verify-peer=false").parameters(),
                         ["uri=nbds://h:1/e", "tls-certificates=/c", "tls-verify=false", "tls=require"])
        self.assertEqual(Remote("nbds://u@h/?tls-psk-file=/k").parameters(), ["uri=nbds://u@h/", "tls-psk=/k", "tls=require"])

    def test_locks(self):
        path = f"{self.top}/a"
        with open(path, "wb"):
            pass
        self.assertFalse(is_locked(path))
        os.close(open_unused(path))
        ready, done = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            descriptor = os.open(path, os.O_RDONLY)
            # As QEMU does it: F_OFD_SETLK.
            fcntl.fcntl(descriptor, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 150, 1, 0))
            os.write(ready[1], b"x")
            os.read(done[0], 1)
            os._exit(0)
        try:
            os.read(ready[0], 1)
            self.assertTrue(is_locked(path))
            with self.assertRaisesRegex(Failure, "in use: QEMU"):
                open_unused(path)
        finally:
            os.write(done[1], b"x")
            os.waitpid(child, 0)
            for descriptor in (*ready, *done):
                os.close(descriptor)


class Output(InDirectory):
    def listed(self, *words):
        parser = argparse.ArgumentParser()
        list_verb.add_arguments(parser)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.assertEqual(list_verb.execute(parser.parse_args(words)), 0)
        return output.getvalue()

    def test_list(self):
        self.image(1, size=3 << 19)
        self.image(2, 1, state=1, suffix=".partial")
        text = self.listed("--directory", self.top).splitlines()
        self.assertRegex(text[0], "^vm +disk +time +status +disk size +used")
        self.assertRegex(text[1], r" d +2026-11-02 .* complete +1\.5 MiB +4\.0 KiB +1 +no +/.*qcow2$")
        self.assertRegex(text[2], " incomplete .*partial: no run")
        fields = json.loads(self.listed("--directory", self.top, "--json"))
        self.assertEqual([one["uuid"] for one in fields], [uuid_of(1), uuid_of(2)])
        self.assertEqual((fields[0]["completed"], fields[1]["completed"], fields[0]["checkpoint"]), (1, None, "c1"))

    def test_nothing(self):
        self.assertEqual(self.listed("--directory", self.top), "there are no restore points\n")
        self.assertEqual(json.loads(self.listed("--directory", self.top, "--json")), [])

    def test_a_plan_or_a_directory(self):
        for words in (), ("plan.toml", "--directory", self.top):
            with self.assertRaises(WrongUse):
                self.listed(*words)

    def test_directories_of_machines_and_names_of_their_own(self):
        for name in "web1", "web2":
            os.mkdir(f"{self.top}/{name}")
            write_image(f"{self.top}/{name}/mon.qcow2", mark_data(1, 0, 2, b"c", f"d-{TIMES[1]}.qcow2".encode()))
            write_image(f"{self.top}/{name}/tue.qcow2", mark_data(2, 1, 2, b"c", b"x", completed=1795000000), "mon.qcow2")
            write_image(f"{self.top}/{name}/other.qcow2", None)
        fields = json.loads(self.listed("--directory", self.top, "--json"))
        self.assertEqual([(one["vm"], one["disk"]) for one in fields], [("web1", "d")] * 2 + [("web2", "d")] * 2)
        self.assertEqual(fields[1]["time"], "20261118T110640Z")

    def test_table(self):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            print_table(("a", "n"), [("long", "1"), ("b", "100")], right=(1,))
        self.assertEqual(output.getvalue(), "a       n\nlong    1\nb     100\n")
        self.assertEqual([size_text(one) for one in (0, 1023, 1024, 1536, 1 << 30, 1 << 60)],
                         ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 GiB", "1024.0 PiB"])
