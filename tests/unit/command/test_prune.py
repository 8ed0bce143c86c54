# SPDX-License-Identifier: BSD-3-Clause
"""Which restore points are kept, and what is done with the others: nbdkit_replicate.prune."""
import datetime
import os
import sys
import tempfile
import unittest
import zoneinfo
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from image_files import TIMES, mark_data, uuid_of, write_image  # noqa: E402
from nbdkit_replicate.plan.plan import Keep  # noqa: E402
from nbdkit_replicate.points.naming import Naming, parse_time  # noqa: E402
from nbdkit_replicate.points.points import points_in  # noqa: E402
from nbdkit_replicate.points.store import Folder  # noqa: E402
from nbdkit_replicate.points.used import mark_used  # noqa: E402
from nbdkit_replicate.prune.decide import decide  # noqa: E402
from nbdkit_replicate.prune.keep import kept  # noqa: E402

UTC = datetime.UTC


def at(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


class KeepRules(unittest.TestCase):
    def check(self, keep, given, wanted, zone=UTC):
        self.assertEqual(sorted(kept([at(text) for text in given], keep, zone)), sorted(at(text) for text in wanted))

    def test_everything(self):
        self.check(Keep(), ["2026-01-01", "2026-05-01"], ["2026-01-01", "2026-05-01"])

    def test_last(self):
        self.check(Keep(last=2), ["2026-01-03", "2026-01-01", "2026-01-02"], ["2026-01-02", "2026-01-03"])
        self.check(Keep(last=9), ["2026-01-01"], ["2026-01-01"])

    def test_the_newest_is_always_kept(self):
        self.check(Keep(weekly=1), ["2026-01-05"], ["2026-01-05"])

    def test_daily_takes_the_newest_of_each_day(self):
        self.check(Keep(daily=2), ["2026-03-01 01:00", "2026-03-01 23:59:59", "2026-03-02 00:00", "2026-03-02 12:00"],
                   ["2026-03-01 23:59:59", "2026-03-02 12:00"])

    def test_days_without_points_do_not_count(self):
        self.check(Keep(daily=2), ["2026-03-01", "2026-03-09", "2026-03-20"], ["2026-03-09", "2026-03-20"])

    def test_weeks_begin_on_monday(self):
        # 2026-11-01 is a Sunday.
        self.check(Keep(weekly=2), ["2026-10-31", "2026-11-01", "2026-11-02", "2026-11-03"], ["2026-11-01", "2026-11-03"])

    def test_the_week_of_new_year_is_one(self):
        # 2026-12-31 and 2027-01-03 are in week 53 of 2026; 2027-01-04 is a Monday.
        self.check(Keep(weekly=3), ["2026-12-27", "2026-12-31", "2027-01-03", "2027-01-04"],
                   ["2026-12-27", "2027-01-03", "2027-01-04"])
        # 2024-12-30 and 2025-01-01 are in week 1 of 2025.
        self.check(Keep(weekly=1), ["2024-12-29", "2024-12-30", "2025-01-01"], ["2025-01-01"])

    def test_monthly(self):
        self.check(Keep(monthly=3), ["2027-02-28", "2027-03-01", "2028-02-28", "2028-02-29", "2028-03-01"],
                   ["2027-03-01", "2028-02-29", "2028-03-01"])

    def test_rules_add_up(self):
        days = [f"2026-11-{day:02}" for day in range(1, 31)]
        self.check(Keep(last=1, daily=3, weekly=2, monthly=1), days, ["2026-11-28", "2026-11-29", "2026-11-30"])
        self.check(Keep(last=2, weekly=3), days, ["2026-11-22", "2026-11-29", "2026-11-30"])

    def test_the_calendar_is_that_of_the_zone(self):
        given = ["2026-06-01 21:30", "2026-06-01 22:30"]  # 23:30 and, on the next day, 00:30
        self.check(Keep(daily=2), given, given, zoneinfo.ZoneInfo("Europe/Berlin"))
        self.check(Keep(daily=2), given, given[1:])

    def test_the_hour_that_comes_twice(self):
        given = ["2026-10-25 00:30", "2026-10-25 01:30"]  # both are 02:30 in Berlin
        self.check(Keep(daily=1), given, given[1:], zoneinfo.ZoneInfo("Europe/Berlin"))
        self.check(Keep(last=2), given, given, zoneinfo.ZoneInfo("Europe/Berlin"))


class Decisions(unittest.TestCase):
    """Images are called by numbers, which are their nights and their UUIDs."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.top = directory.name
        self.now = TIMES[-1]
        self.enterContext(mock.patch("time.time", lambda: parse_time(self.now).timestamp()))

    def name(self, number, suffix=""):
        return f"d-{TIMES[number]}.qcow2{suffix}"

    def image(self, number, below=0, suffix="", state=2, **more):
        write_image(f"{self.top}/{self.name(number, suffix)}", mark_data(number, below, state, f"c{number}".encode()),
                    self.name(below) if below else "", **more)

    def chain(self, *numbers):
        for below, number in zip((0, *numbers), numbers):
            self.image(number, below)

    def decide(self, current, **keep):
        naming = Naming(f"{self.top}/{{disk}}-{{time}}.qcow2")
        points = [point for point in points_in(naming) if point.disk == "d"]
        return decide(points, Folder.read(self.top).images, Keep(**keep), uuid_of(current))

    def numbers(self, images):
        return [TIMES.index(naming.time) if (naming := Naming("/{disk}-{time}.qcow2").parse(image.path)) else image.path
                for image in images]

    def check(self, decision, removed=(), merged=(), staying=(), kept_now=None):
        self.assertEqual(self.numbers(decision.removed), list(removed))
        self.assertEqual([(*self.numbers([one.into]), self.numbers(one.gone)) for one in decision.merged],
                         [(into, list(gone)) for into, gone in merged])
        self.assertEqual(sorted(self.numbers(image for image, _ in decision.staying)), list(staying))
        if kept_now is not None:
            self.assertEqual(self.numbers(point.top for point in decision.kept), kept_now)

    def test_everything_is_kept(self):
        self.chain(1, 2, 3)
        self.check(self.decide(3), kept_now=[1, 2, 3])

    def test_merged_into_the_one_above(self):
        self.chain(1, 2, 3, 4)
        self.check(self.decide(4, last=2), merged=[(3, [2, 1])], kept_now=[3, 4])

    def test_what_the_newest_lies_on_stays(self):
        self.chain(1, 2, 3)
        self.check(self.decide(3, last=1), merged=[(2, [1])], staying=[2], kept_now=[3])

    def test_nothing_below_the_newest_but_one(self):
        self.chain(1, 2)
        self.check(self.decide(2, last=1), staying=[1])

    def test_in_the_middle_of_a_chain(self):
        self.chain(1, 2, 3, 4, 5, 6)
        self.check(self.decide(6, last=3), merged=[(4, [3, 2, 1])])

    def test_several_runs_of_expired_points(self):
        # 1 and 2 are Sunday and Monday of different weeks: the weekly points are 1 and 8.
        self.chain(1, 2, 3, 4, 5, 6, 7, 8)
        decision = self.decide(8, last=2, weekly=2)  # times 1.. are 2026-11-02, a Monday, ..; 7 is a Sunday
        self.check(decision, merged=[(7, [6, 5, 4, 3, 2, 1])])

    def test_an_older_chain_that_nothing_needs(self):
        self.chain(1, 2, 3)
        self.chain(4, 5)
        self.check(self.decide(5, last=2), removed=[3, 2, 1], kept_now=[4, 5])

    def test_an_older_chain_of_which_a_point_is_kept(self):
        self.chain(1, 2, 3)
        self.chain(4)
        self.check(self.decide(4, last=2), merged=[(3, [2, 1])])

    def test_what_the_state_names_is_not_touched(self):
        self.chain(1, 2, 3)
        self.chain(4)
        self.check(self.decide(3, last=1), merged=[(2, [1])], staying=[2], kept_now=[3, 4])

    def test_what_is_as_of_a_time_to_come_is_not_the_newest(self):
        # The clock was ahead when 8 was made. 6 is of a run that copied everything anew, and was cut off.
        self.now = TIMES[6]
        self.image(8)
        self.chain(1, 2, 3)
        self.image(5, 8)
        self.image(6, 0, ".partial", state=1)
        self.check(self.decide(6, last=1), removed=[3, 2, 1], kept_now=[5, 8])
        self.check(self.decide(6, last=2), merged=[(3, [2, 1])], kept_now=[3, 5, 8])
        self.now = TIMES[8]
        self.check(self.decide(6, last=1), removed=[3, 2, 1, 5], kept_now=[8])

    def test_a_clock_that_is_behind_removes_nothing(self):
        self.now = TIMES[0]
        self.chain(1, 2, 3)
        self.check(self.decide(3, last=1), kept_now=[1, 2, 3])

    def test_a_run_that_was_cut_off(self):
        self.chain(1, 2, 3)
        self.image(4, 3, ".partial", state=1)
        self.check(self.decide(4, last=1), merged=[(2, [1])], staying=[2])

    def test_what_no_run_goes_on_with_is_removed(self):
        self.chain(1, 2)
        self.image(3, 2, ".partial", state=1)
        self.check(self.decide(2), removed=[3])
        self.check(self.decide(2, last=2), removed=[3])

    def test_what_clients_have_written_to_stays(self):
        self.chain(1, 2)
        self.image(3, 1, ".partial", state=1)
        mark_used(f"{self.top}/{self.name(3)}")
        self.check(self.decide(2, last=1), staying=[1, 3])

    def test_without_a_state_a_run_may_go_on_with_it(self):
        self.chain(1, 2)
        self.image(3, 2, ".partial", state=1)
        self.check(self.decide(0, last=2))

    def test_complete_but_not_renamed(self):
        self.chain(1, 2)
        self.image(3, 2, ".partial")
        self.check(self.decide(3, last=1), staying=[1])

    def test_several_images_lie_on_one(self):
        self.chain(1, 2, 3)
        write_image(f"{self.top}/clone.qcow2", None, self.name(2))
        self.chain(4)
        self.check(self.decide(4, last=1), removed=[3], merged=[(2, [1])], staying=[2])
        self.image(5, 2)
        self.check(self.decide(4, last=3), merged=[(2, [1])], staying=[2])

    def test_two_points_lie_on_one(self):
        self.chain(1, 2, 3)
        self.image(4)
        self.image(5, 2)
        self.check(self.decide(5, last=3), merged=[(2, [1])], staying=[2], kept_now=[3, 4, 5])

    def test_an_image_of_another_program_is_not_merged_into(self):
        self.chain(1, 2)
        write_image(f"{self.top}/clone.qcow2", None, self.name(2))
        self.chain(4)
        self.check(self.decide(4, last=1), merged=[(2, [1])], staying=[2])

    def test_broken_points_stay_with_what_they_lie_on(self):
        self.chain(1, 2)
        self.image(3, 2, dirty=True)
        self.chain(5)
        self.check(self.decide(5, last=1), merged=[(2, [1])], staying=[2])

    def test_a_disk_that_has_grown_and_one_that_has_shrunk(self):
        self.image(1, size=4096)
        self.image(2, 1, size=8192)
        self.image(3, 2, size=8192)
        self.check(self.decide(3, last=1), merged=[(2, [1])], staying=[2])
        self.image(1, size=16384)
        self.check(self.decide(3, last=1), staying=[1, 2])

    def test_images_in_different_directories(self):
        self.chain(1)
        write_image(f"{self.top}/{self.name(2)}", mark_data(2, 1, 2, b"c2"), f"{self.top}/{self.name(1)}")
        self.chain(4)
        self.image(3, 2)
        self.image(5, 4)
        self.check(self.decide(5, last=3), merged=[(3, [2])], staying=[1])

    def test_other_disks(self):
        self.chain(1, 2)
        write_image(f"{self.top}/e-{TIMES[5]}.qcow2", mark_data(5, 0, 2, b"c"))
        self.check(self.decide(2, last=1), staying=[1], kept_now=[2])

    def test_a_base_by_another_path(self):
        os.mkdir(f"{self.top}/images")
        os.symlink("images", f"{self.top}/link")
        self.top += "/link"
        self.chain(1, 2)
        self.chain(4, 5)
        real = os.path.realpath(self.top)
        write_image(f"{self.top}/clone.qcow2", None, f"{real}/{self.name(2)}")
        self.check(self.decide(5, last=2), merged=[(2, [1])], staying=[2], kept_now=[4, 5])

    def test_a_point_over_a_base_by_another_path_is_not_merged_into(self):
        self.chain(1)
        os.symlink(self.name(1), f"{self.top}/z-other-name")
        write_image(f"{self.top}/{self.name(2)}", mark_data(2, 1, 2, b"c2"), "z-other-name")
        self.image(3, 2)
        self.check(self.decide(3, last=2), staying=[1])

    def test_a_base_by_a_path_of_another_machine(self):
        self.chain(1)
        self.chain(4)
        write_image(f"{self.top}/clone.qcow2", None, f"/there/{self.name(1)}")
        self.check(self.decide(4, last=1), staying=[1])

    def test_a_base_that_is_gone_keeps_nothing(self):
        self.chain(1)
        self.chain(4)
        for name, base in ("clone", f"/there/{self.name(3)}"), ("other", self.name(2)), ("own", "/there/own.qcow2"):
            write_image(f"{self.top}/{name}.qcow2", None, base)
        self.check(self.decide(4, last=1), removed=[1])

    def test_a_base_that_has_no_name_of_a_file(self):
        self.chain(1, 2)
        self.chain(4)
        for base in 'json:{"driver":"qcow2","file":{"driver":"file","filename":"/there/x"}}', "nbd://there/x":
            write_image(f"{self.top}/clone.qcow2", None, base)
            decision = self.decide(4, last=1)
            self.check(decision, kept_now=[4])
            self.assertEqual(decision.unknown.path, f"{self.top}/clone.qcow2")
            self.assertIsNone(self.decide(4).unknown)
