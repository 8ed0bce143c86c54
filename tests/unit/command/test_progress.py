# SPDX-License-Identifier: BSD-3-Clause
"""What is said of a copy that takes long."""
import asyncio
import os
import sys
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate.restore import progress as room  # noqa: E402


class Progress(unittest.IsolatedAsyncioTestCase):
    async def test_the_last_whole_line_is_told(self):
        said = asyncio.Queue()
        with mock.patch.multiple(room, INTERVAL=0.01, say=said.put_nowait), room.told() as descriptor:
            self.assertRegex(await said.get(), r"^0 % after [\d.]+ s$")
            os.write(descriptor, b"7/100\n42/100\n4")
            while not (text := await said.get()).startswith("42 %"):
                self.assertRegex(text, "^0 %")
            os.write(descriptor, b"3/100\n")
            while not (text := await said.get()).startswith("43 %"):
                self.assertRegex(text, "^42 %")

    async def test_nothing_is_said_of_a_short_one_nor_later(self):
        before = set(os.listdir("/proc/self/fd"))
        with mock.patch.multiple(room, INTERVAL=0.01, say=mock.Mock()):
            with room.told() as descriptor:
                os.write(descriptor, b"100/100\n")
            task, = asyncio.all_tasks() - {asyncio.current_task()}
            self.assertTrue(task.cancelling())
            await asyncio.gather(task, return_exceptions=True)
            room.say.assert_not_called()
        self.assertEqual(set(os.listdir("/proc/self/fd")), before)
