# SPDX-License-Identifier: BSD-3-Clause
"""use: the mark of an image that clients may write to. Nothing of nbdkit is started."""
import asyncio
import os
import sys
import tempfile
import unittest
from types import SimpleNamespace
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from image_files import write_state  # noqa: E402
from nbdkit_replicate.composition.commands import Access  # noqa: E402
from nbdkit_replicate.messages import Failure  # noqa: E402
from nbdkit_replicate.points.used import mark_used  # noqa: E402
from nbdkit_replicate.programs.directory import RunDirectory  # noqa: E402
from nbdkit_replicate.use import disk as room  # noqa: E402


class Marks(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.top = self.enterContext(tempfile.TemporaryDirectory())
        self.image, self.state, self.socket = f"{self.top}/image", f"{self.top}/state", f"{self.top}/socket"
        self.command = ["false"]
        facts = SimpleNamespace(full=True, size=4096, description=SimpleNamespace(checkpoint="c1"))
        self.enterContext(mock.patch.multiple(
            room, ask_disk=mock.AsyncMock(return_value=facts), say=lambda *_: None, check_disk=lambda *_: None,
            Circumstances=mock.MagicMock(), use_command=lambda *_: self.command))

    async def start(self):
        """A disk that fails to be served, and what is done after that."""
        disk = mock.MagicMock(state=self.state, image=self.image, also=(), export="", target=SimpleNamespace(plugin="qcow2"))
        disk.has_state = lambda: os.path.exists(self.state)
        disk.with_chosen_target.return_value = disk
        use = room.DiskUse(disk, Access.WRITE, None, self.socket)
        source = SimpleNamespace(uri=str, socket=self.socket)
        with RunDirectory() as directory:
            try:
                with mock.patch.object(room.Server, "keep_connections"):
                    await use.start(source, directory, None)
            finally:
                if use.server is not None:
                    await use.stop()

    async def test_an_image_that_nobody_was_served_is_not_marked(self):
        with open(self.socket, "w", encoding="ascii"):
            with self.assertRaisesRegex(Failure, "is no socket"):
                await self.start()
        os.unlink(self.socket)
        self.assertFalse(os.path.exists(self.image + ".used"))
        with self.assertRaisesRegex(Failure, "did not start"):
            await self.start()
        self.assertFalse(os.path.exists(self.image + ".used"))
        self.command = ["/there/is/no/such/program"]
        with self.assertRaisesRegex(Failure, "cannot be started"):
            await self.start()
        self.assertFalse(os.path.exists(self.image + ".used"))

    async def test_a_start_that_is_interrupted(self):
        async def wait_ready(_):
            starting.cancel()
            await asyncio.Event().wait()

        starting = asyncio.create_task(self.start())
        with mock.patch.object(room.Server, "wait_ready", wait_ready), self.assertRaises(asyncio.CancelledError):
            await starting
        self.assertFalse(os.path.exists(self.image + ".used"))

    async def test_an_earlier_mark_stays(self):
        mark_used(self.image)
        with self.assertRaisesRegex(Failure, "did not start"):
            await self.start()
        self.assertTrue(os.path.exists(self.image + ".used"))

    async def test_what_the_state_says_is_marked(self):
        write_state(self.state, owed=[(0, 512)])
        with open(self.state, "r+", encoding="ascii") as file:
            text = file.read().replace('"owed"', '"pull": "written", "owed"')
            file.seek(0)
            file.write(text)
        with self.assertRaisesRegex(Failure, "did not start"):
            await self.start()
        self.assertTrue(os.path.exists(self.image + ".used"))

