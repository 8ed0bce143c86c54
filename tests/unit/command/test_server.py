# SPDX-License-Identifier: BSD-3-Clause
"""Servers of plugins that wait for a network without a deadline."""
import asyncio
import contextlib
import io
import os
import signal
import sys
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate.messages import Failure  # noqa: E402
from nbdkit_replicate.programs import server as room  # noqa: E402
from nbdkit_replicate.programs.directory import RunDirectory  # noqa: E402
from nbdkit_replicate.run import disk  # noqa: E402

# It waits for what nobody writes, beside the program.
NEVER_READY = 'read line <> "${0%/*}/nothing"'
NEVER_ENDS = 'trap "" TERM; echo $$ > "$5.new"; mv "$5.new" "$5"; ' + NEVER_READY  # $5: the file of -P


async def others_ended():
    """All other tasks have."""
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)


class Watched:
    """Tells how long it has been silent, and when it has been asked again."""

    def __init__(self, silent):
        self.silence = silent
        self.ready = mock.Mock()
        self._asked = asyncio.Semaphore(0)

    @property
    def silent(self):
        self._asked.release()
        return self.silence

    async def asked(self, times):
        for _ in range(times):
            await self._asked.acquire()


class Limits(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        # Where another test has ended a run, SIGTERM is ignored, and programs inherit that.
        self.addCleanup(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, signal.SIG_DFL))
        self.directory = self.enterContext(RunDirectory())
        os.mkfifo(self.directory.file("nothing"))

    async def start(self, script, plugin, start=1e6, end=1e6, **how):
        program = self.directory.file("program")
        with open(program, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + script)
        os.chmod(program, 0o700)
        server = await room.Server.start("source", [program], self.directory, "s.sock")
        server.patience = 0.25
        with mock.patch.multiple(room, START=start, END=end):
            server.limit(plugin, **how)
        return server

    async def test_only_those_without_deadlines_of_their_own(self):
        for plugin, start, end in (("vsphere", None, None), ("/x/nbdkit-qcow2-plugin.so", None, None), ("file", None, None),
                                   ("nbd", 7.25, 3), ("curl", 7.25, 3)):
            with self.subTest(plugin):
                server = await self.start(NEVER_READY, plugin, 7, 3)
                self.assertEqual((server.start_limit, server.end_limit), (start, end))
                await server.stop()
        server = await self.start(NEVER_READY, "nbd", 7, 3, ends_soon=False)  # a destination may have much to complete
        self.assertEqual((server.start_limit, server.end_limit), (7.25, None))
        await server.stop()

    async def test_one_that_never_starts(self):
        server = await self.start(NEVER_READY, "nbd", start=0.1)
        with self.assertRaisesRegex(Failure, r"the source server has not started for \d+ seconds: what it connects to does not answer"):
            await server.wait_ready()
        await server.stop()

    async def test_one_that_never_ends(self):
        server = await self.start(NEVER_ENDS, "nbd", end=0.1)
        await server.wait_ready()
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            self.assertFalse(await server.stop())
        self.assertIn("the source server does not end, as what it is connected to does not answer: it is killed", said.getvalue())
        self.assertNotIn("ended with", said.getvalue())

    async def test_one_that_is_given_up(self):
        server = await self.start(NEVER_ENDS, "nbd")
        await server.wait_ready()
        server.give_up("nothing has arrived")
        server.give_up("another reason")
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertFalse(await server.stop())
        self.assertEqual((server.given_up, server.cause()), (True, "source: nothing has arrived"))


class Silence(unittest.IsolatedAsyncioTestCase):
    """While a disk is copied."""

    def setUp(self):
        self.source = mock.MagicMock(patience=0, end_limit=1)
        self.run_of_disk = disk.DiskRun(mock.MagicMock(), 0, mock.MagicMock(source=self.source))
        self.enterContext(mock.patch.multiple(disk, SILENCE=5, POLL=0.001))

    async def test_a_source_that_is_silent_for_too_long_is_given_up(self):
        given_up = asyncio.Event()
        self.source.give_up.side_effect = lambda _: given_up.set()
        watch = Watched(4.999)
        with self.run_of_disk._silence_ended(watch):  # pylint: disable=protected-access
            await watch.asked(5)  # twice in each look
            self.source.give_up.assert_not_called()
            watch.silence = 5
            await given_up.wait()
        self.assertIn("nothing has arrived for 5 seconds", self.source.give_up.call_args.args[0])
        watch.ready.assert_called_once()

    async def test_one_with_deadlines_is_not(self):
        self.source.end_limit = None
        with self.run_of_disk._silence_ended(mock.MagicMock(silent=1e9)):  # pylint: disable=protected-access
            await others_ended()
        self.source.give_up.assert_not_called()

    async def test_not_after_the_copy(self):
        watch = Watched(4.999)
        with self.run_of_disk._silence_ended(watch):  # pylint: disable=protected-access
            await watch.asked(3)
        watch.silence = 1e9
        await others_ended()
        self.source.give_up.assert_not_called()
