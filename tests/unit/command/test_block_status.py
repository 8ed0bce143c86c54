# SPDX-License-Identifier: BSD-3-Clause
"""What the map of a source says in totals, and who waits for a source that does not answer."""
import asyncio
import os
import sys
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import nbd

sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))
from nbdkit_replicate.programs.block_status import MOST, MapTotals, read_totals  # noqa: E402
from nbdkit_replicate.programs.source import _answer  # noqa: E402

HOLE = 3  # a hole that is zero: not to be copied


def totals_of(*extents):
    totals = MapTotals()
    for length, flags in extents:
        totals.add(length, flags)
    return totals


class Totals(unittest.TestCase):
    def test_areas_are_counted_across_kinds_and_parts(self):
        whole = MapTotals()
        for part in (totals_of((1, HOLE), (2, 0), (3, 2)), totals_of((4, 0)), totals_of((5, HOLE), (6, 1)), totals_of((7, HOLE)),
                     totals_of((8, 0), (9, HOLE), (10, 0))):
            whole.append(part)
        self.assertEqual(whole.areas, 4)
        self.assertEqual(dict(whole.sizes), {HOLE: 22, 0: 24, 2: 3, 1: 6})

    def test_a_map_of_many_parts(self):
        """An area across the border of two parts, and one at the end of the disk."""
        disk = 20 * MOST + 4096
        content = f"@{MOST - 32768} (1)*65536 @{7 * MOST} 1 @{disk - 1} 1"
        handle = nbd.NBD()
        handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
        handle.connect_command(["nbdkit", "-s", "--exit-with-parent", "data", f"size={disk}", content])
        totals = read_totals(handle, 60)
        handle.shutdown()
        self.assertEqual(totals.areas, 3)
        self.assertEqual(sum(totals.sizes.values()), disk)
        self.assertEqual(totals.sizes[0], 65536 + 32768 + 4096)

    def test_a_source_that_does_not_answer(self):
        handle = nbd.NBD()
        handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
        handle.connect_command(["nbdkit", "-s", "--exit-with-parent", "--filter=delay", "memory", "1M", "delay-extents=60"])
        with self.assertRaises(TimeoutError):
            read_totals(handle, 0.1)
        handle.kill_subprocess(9)

    def test_one_that_does_not_answer_keeps_no_other_waiting(self):
        async def run():
            loop, source, held = asyncio.get_running_loop(), SimpleNamespace(patience=0.0), threading.Event()
            loop.set_default_executor(ThreadPoolExecutor(1))
            waiting = asyncio.create_task(_answer(source, held.wait))
            await asyncio.sleep(0)  # it has asked
            try:
                async with asyncio.timeout(60):
                    self.assertEqual(await _answer(source, lambda: "an answer"), "an answer")
                    self.assertEqual(await asyncio.to_thread(lambda: "metrics"), "metrics")
            finally:
                held.set()
            self.assertTrue(await waiting)
        asyncio.run(run())


if __name__ == "__main__":
    unittest.main()
