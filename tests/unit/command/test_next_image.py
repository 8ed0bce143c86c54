# SPDX-License-Identifier: BSD-3-Clause
"""Which image the next run of a disk writes: nbdkit_replicate.points.next_image."""
import contextlib
import fcntl
import io
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from image_files import TIMES, mark_data, uuid_of, write_image, write_state  # noqa: E402
from nbdkit_replicate.composition.replication import Module  # noqa: E402
from nbdkit_replicate.messages import Failure  # noqa: E402
from nbdkit_replicate.plan.plan import Machine  # noqa: E402
from nbdkit_replicate.points.merge import Merge  # noqa: E402
from nbdkit_replicate.points.next_image import next_target, prepare  # noqa: E402
from nbdkit_replicate.points.used import mark_used  # noqa: E402
from nbdkit_replicate.states import read_state  # noqa: E402


class NextImage(unittest.TestCase):
    def setUp(self):
        self._directory = tempfile.TemporaryDirectory()
        self.addCleanup(self._directory.cleanup)
        self.top = os.path.realpath(self._directory.name)
        os.mkdir(f"{self.top}/images")
        self.state = f"{self.top}/states/d.state"

    def machine(self, longest=30):
        return Machine("web1", Module("file", ()), Module("qcow2", ("compress=zstd",)), (),
                       f"{self.top}/images/{{disk}}-{{time}}.qcow2", f"{self.top}/states/", longest_chain=longest)

    def file(self, time, suffix=""):
        return f"{self.top}/images/d-{TIMES[time]}.qcow2{suffix}"

    def write(self, time, number, parent=0, suffix="", state=2, below=None, **more):
        """An image of the night; below: the night of the one that it lies on."""
        backing = f"d-{TIMES[below]}.qcow2" if below is not None else ""
        write_image(self.file(time, suffix), mark_data(number, parent, state, f"c{number}".encode() if state == 2 else b""),
                    backing, **more)

    def next(self, time=5, full=False):
        return next_target(self.machine(), "d", TIMES[time], full)

    def is_new(self, target, time=5, below=None):
        backing = () if below is None else (f"backing={self.file(below)}", "backing-format=qcow2")
        digests = [f"apply-digests={self.file(time)}.digests"]
        if below is not None and os.path.exists(self.file(below, ".digests")):
            digests.append(f"apply-digests-parent={self.file(below)}.digests")
        self.assertEqual(target, Module("qcow2", ("compress=zstd", f"file={self.file(time)}", *backing, "seal=on", *digests)))

    def owes_everything(self):
        state = read_state(self.state)
        return state.checkpoint == "" and state.owed == state.size

    def test_first(self):
        self.is_new(self.next(full=True))

    def test_an_increment_without_a_state_is_refused(self):
        with self.assertRaisesRegex(Failure, "no .*d.state"):
            self.next(full=False)

    def test_over_the_last(self):
        self.write(0, 1)
        self.write(1, 2, 1, below=0)
        write_state(self.state, 2, "c2")
        prepare(self.machine())
        self.assertFalse(self.owes_everything())
        self.is_new(self.next(), below=1)
        with open(self.file(1, ".digests"), "wb"):
            pass
        self.is_new(self.next(), below=1)

    def test_the_last_has_a_later_time_in_its_name(self):
        self.write(5, 1)
        write_state(self.state, 1, "c1")
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.is_new(self.next(4), 4, below=5)
        self.assertIn(f"{self.file(5)} has a later time in its name than this run, {TIMES[4]}: the clock", said.getvalue())

    def test_an_image_that_is_merged_is_not_gone_on_from(self):
        self.write(0, 1)
        self.write(1, 2, 1, below=0)
        write_state(self.state, 1, "c1")
        Merge(self.file(1), uuid_of(2), (self.file(0),)).write()
        with self.assertRaisesRegex(Failure, "not there"):
            self.next()

    def test_over_that_of_the_state_and_not_the_newest(self):
        self.write(0, 1)
        self.write(1, 2, 1, below=0)
        self.write(2, 3, 1, suffix=".partial", state=1, below=0)
        write_state(self.state, 1, "c1")
        self.is_new(self.next(), below=0)

    def test_whole_disk_though_there_is_a_state(self):
        self.write(0, 1)
        write_state(self.state, 1, "c1")
        self.is_new(self.next(full=True))
        self.assertEqual(read_state(self.state).checkpoint, "c1")  # nothing has been written yet

    def test_the_one_that_was_cut_off_is_gone_on_with(self):
        self.write(0, 1)
        self.write(1, 2, 1, suffix=".partial", state=1, below=0, dirty=True)
        write_state(self.state, 2, "c2", [(0, 512)])
        prepare(self.machine())
        self.is_new(self.next(), below=0)  # by the name of this run
        self.assertEqual(sorted(os.listdir(f"{self.top}/images")),
                         [f"d-{TIMES[0]}.qcow2", f"d-{TIMES[5]}.qcow2.partial"])
        self.is_new(self.next(), below=0)  # by the same command again

    def test_a_full_copy_that_was_cut_off_is_gone_on_with(self):
        self.write(1, 2, suffix=".partial", state=1)
        write_state(self.state, 2, "", [(0, 4096)])
        prepare(self.machine())
        self.is_new(self.next(full=True))
        self.assertTrue(os.path.exists(self.file(5, ".partial")))

    def test_what_clients_may_have_written_to_is_that_by_its_new_name(self):
        self.write(1, 2, suffix=".partial", state=1)
        mark_used(self.file(1))
        write_state(self.state, 2, "c2", [(0, 512)])
        self.next()
        self.assertTrue(os.path.exists(self.file(5, ".used")))
        self.assertFalse(os.path.exists(self.file(1, ".used")))

    def test_an_increment_that_was_cut_off_is_given_up_for_a_full_copy(self):
        self.write(0, 1)
        self.write(1, 2, 1, suffix=".partial", state=1, below=0)
        write_state(self.state, 2, "c2", [(0, 512)])
        self.is_new(self.next(full=True))
        self.assertTrue(os.path.exists(self.file(1, ".partial")))

    def test_complete_but_not_renamed(self):
        self.write(0, 1)
        self.write(1, 2, 1, suffix=".partial", below=0)
        write_state(self.state, 2, "c2")
        prepare(self.machine())
        self.assertEqual(sorted(os.listdir(f"{self.top}/images")), [f"d-{TIMES[0]}.qcow2", f"d-{TIMES[1]}.qcow2"])
        self.is_new(self.next(), below=1)

    def test_marked_complete_while_the_state_owes_is_not_renamed(self):
        self.write(1, 2, suffix=".partial")
        write_state(self.state, 2, "c2", [(0, 512)])
        self.is_new(self.next())
        self.assertTrue(os.path.exists(self.file(5, ".partial")))

    def test_half_renamed(self):
        self.write(0, 1)
        os.link(self.file(0), self.file(0, ".partial"))
        write_state(self.state, 1, "c1")
        self.is_new(self.next(), below=0)

    def needs_full_copy(self, reason, **machine):
        with self.assertRaisesRegex(Failure, reason):  # a source that shows the increment
            self.next()
        self.assertTrue(self.owes_everything())
        write_state(self.state, 2, "c2")
        prepare(self.machine(**machine))
        self.assertTrue(self.owes_everything())
        self.is_new(self.next(full=True))

    def test_lost(self):
        write_state(self.state, 2, "c2")
        self.needs_full_copy("not there")

    def test_a_directory_that_is_not_there_may_not_be_mounted(self):
        os.rmdir(f"{self.top}/images")
        write_state(self.state, 2, "c2")
        prepare(self.machine())
        for full in False, True:
            with self.assertRaisesRegex(Failure, "mount its file system"):
                self.next(full=full)
        self.assertFalse(self.owes_everything())
        self.assertFalse(os.path.exists(f"{self.top}/images"))
        os.mkdir(f"{self.top}/images")
        prepare(self.machine())
        self.assertTrue(self.owes_everything())

    def test_parent_lost(self):
        self.write(1, 2, 1, below=0)
        write_state(self.state, 2, "c2")
        self.needs_full_copy(f"{TIMES[0]}.qcow2, which it lies on, is not there")

    def test_parent_not_complete(self):
        self.write(0, 1, state=1)
        self.write(1, 2, 1, below=0)
        write_state(self.state, 2, "c2")
        self.needs_full_copy("is not complete")

    def test_parent_is_another_image(self):
        self.write(0, 7)
        self.write(1, 2, 1, below=0)
        write_state(self.state, 2, "c2")
        self.needs_full_copy("not the image that it was made over")

    def test_parent_of_the_one_that_was_cut_off_is_lost(self):
        self.write(1, 2, 1, suffix=".partial", state=1, below=0)
        write_state(self.state, 2, "c2")
        self.needs_full_copy("is not there")

    def test_not_complete(self):
        self.write(1, 2, state=1)
        write_state(self.state, 2, "c2")
        self.needs_full_copy("is not complete")

    def test_not_closed_cleanly(self):
        self.write(1, 2, dirty=True)
        write_state(self.state, 2, "c2")
        self.needs_full_copy("is not complete")

    def test_put_back_from_an_earlier_time(self):
        for suffix in "", ".partial":
            with self.subTest(suffix):
                self.write(1, 2, suffix=suffix)
                write_state(self.state, 2, "c9")
                with self.assertRaisesRegex(Failure, "put back"):
                    self.next()
                self.assertTrue(self.owes_everything())
                os.unlink(self.file(1, suffix))

    def test_state_of_no_image(self):
        self.write(1, 2)
        write_state(self.state, 0, "c2")
        prepare(self.machine())
        self.assertTrue(self.owes_everything())

    def test_chain_that_is_too_long(self):
        self.write(0, 1)
        self.write(1, 2, 1, below=0)
        write_state(self.state, 2, "c2")
        prepare(self.machine(longest=3))
        self.assertFalse(self.owes_everything())
        prepare(self.machine(longest=0))
        self.assertFalse(self.owes_everything())
        prepare(self.machine(longest=2))
        self.assertTrue(self.owes_everything())

    def test_chain_that_the_plugin_could_not_open(self):
        self.write(0, 1)
        for number in range(2, 65):
            backing = self.file(0) if number == 2 else f"{self.top}/images/{number - 1}"
            write_image(f"{self.top}/images/{number}", mark_data(number, number - 1), backing)
        write_image(self.file(1), mark_data(64, 63, checkpoint=b"c2"), f"{self.top}/images/63")
        write_state(self.state, 64, "c2")
        prepare(self.machine(longest=0))
        self.assertTrue(self.owes_everything())

    def test_loop(self):
        self.write(0, 1, 2, below=1)
        self.write(1, 2, 1, below=0)
        write_state(self.state, 2, "c2")
        self.needs_full_copy("does not end")

    def test_copies_of_one_image(self):
        for time in 0, 1:
            self.write(time, 2)
        write_state(self.state, 2, "c2")
        prepare(self.machine())
        with self.assertRaisesRegex(Failure, "copies of one image"):
            self.next()
        self.assertFalse(self.owes_everything())

    def test_no_other_point_is_written_to(self):
        self.write(0, 1)
        self.write(5, 3)
        write_state(self.state, 1, "c1")
        for full in False, True:
            with self.assertRaisesRegex(Failure, "exists already"):
                self.next(full=full)

    def test_state_in_use(self):
        self.write(1, 2, suffix=".partial", state=1)
        write_state(self.state, 2, "c2")
        with open(self.state + ".lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            prepare(self.machine())
            with self.assertRaisesRegex(Failure, "in use"):
                self.next()
        self.assertTrue(os.path.exists(self.file(1, ".partial")))
        self.assertEqual(read_state(self.state).image, uuid_of(2))

    def test_images_of_other_disks(self):
        self.write(1, 2)
        os.rename(self.file(1), f"{self.top}/images/e-{TIMES[1]}.qcow2")
        write_state(self.state, 2, "c2")
        with self.assertRaisesRegex(Failure, "not there"):
            self.next()
