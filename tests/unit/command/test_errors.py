# SPDX-License-Identifier: BSD-3-Clause
"""What a program writes to standard error is said once: as an error of its own, or as the cause of what fails by it."""
import asyncio
import os
import sys
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate.messages import Level, messages_to  # noqa: E402
from nbdkit_replicate.programs import errors as module  # noqa: E402
from nbdkit_replicate.programs.errors import Errors  # noqa: E402

DETACHED = "dr: no route: detached, the other destinations continue; 5 bytes are owed"


class Once(unittest.TestCase):
    def said(self, test, hold):
        """What is said in the course of test(errors, write). hold: seconds, instead of HOLD."""
        async def run():
            errors = Errors("target")
            with errors.passed() as writing:
                def write(*lines):
                    os.write(writing, "".join(f"nbdkit: error: {line}\n" for line in lines).encode())
                await test(errors, write)
            errors.close()
        messages = []
        with messages_to(messages.append), mock.patch.object(module, "HOLD", hold):
            asyncio.run(run())
        return [(m.level, m.text) for m in messages]

    def test_the_cause_is_not_said_as_well_while_it_is_held_back(self):
        async def fails(errors, write):
            write("No space left on device")
            self.assertEqual(errors.cause(), "No space left on device")
            self.assertEqual(errors.cause(), "No space left on device")  # of whatever else fails
        self.assertEqual(self.said(fails, 3600), [])

    def test_nobody_asks_for_a_cause(self):
        async def ends(_, write):
            write("it is torn")
        self.assertEqual(self.said(ends, 3600), [(Level.ERROR, "target: it is torn")])

    def test_what_was_held_back_long_enough_is_said_and_still_the_cause(self):
        async def fails_later(errors, write):
            write("it is torn")
            shown = asyncio.Event()
            with mock.patch.object(errors, "_show", side_effect=lambda show=errors._show: (show(), shown.set())):
                await shown.wait()
            self.assertEqual(errors.cause(), "it is torn")
        self.assertEqual(self.said(fails_later, 0), [(Level.ERROR, "target: it is torn")])

    def test_what_else_was_reported_is_said(self):
        async def fails(errors, write):
            write(DETACHED, "it is torn", "and gone")
            self.assertEqual(errors.cause(), "it is torn")
        self.assertEqual(self.said(fails, 3600), [(Level.WARNING, f"target: {DETACHED}"), (Level.ERROR, "target: and gone")])

    def test_what_the_program_goes_on_after_is_the_cause_if_there_is_no_other(self):
        async def fails(errors, write):
            write(DETACHED)
            self.assertEqual(errors.cause(), DETACHED)
        self.assertEqual(self.said(fails, 3600), [])

    def test_errors_that_differ_in_numbers_are_one(self):
        async def many(_, write):
            write(*(f"pwrite at offset {n * 512}: Input/output error" for n in range(100)))
        self.assertEqual(self.said(many, 3600), [(Level.ERROR, "target: pwrite at offset 0: Input/output error")])

    def test_a_client_that_has_gone_is_not_said(self):
        async def goes(errors, write):
            write("write reply: NBD_CMD_READ: Broken pipe", "write: NBD_OPT_STRUCTURED_REPLY: Broken pipe")
            self.assertEqual(errors.cause(), "")
        self.assertEqual(self.said(goes, 3600), [])

    def test_a_pause_that_ends_with_the_server_is_not_said(self):
        async def ends(errors, write):
            write("aborting sleep because of server shut down", "it is torn")
            write("aborting sleep because of connection close or error")
            write("nbdkit is ending", "disk 2000: cannot read 4096 bytes at offset 0: nbdkit is ending",
                  "pull-from=nbd://src: the server is ending")
            self.assertEqual(errors.cause(), "it is torn")
        self.assertEqual(self.said(ends, 3600), [])


if __name__ == "__main__":
    unittest.main()
