# SPDX-License-Identifier: BSD-3-Clause
"""What is said and cannot be written ends nothing: no copy, no end in order, no signal. And which signals end a run."""
import asyncio
import contextlib
import os
import signal
import sys
import unittest
from types import SimpleNamespace
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate.messages import Failure, Level, Message, Subject, messages_to, say  # noqa: E402
from nbdkit_replicate.programs.errors import Errors  # noqa: E402
from nbdkit_replicate.report.events import RunBegun, Stage  # noqa: E402
from nbdkit_replicate.report.json_lines import JsonView  # noqa: E402
from nbdkit_replicate.report.records import RunRecord  # noqa: E402
from nbdkit_replicate.report.view import Style, View  # noqa: E402
from nbdkit_replicate.restore.signals import ended_by_signals  # noqa: E402
from nbdkit_replicate.run import disk as of_disk  # noqa: E402
from nbdkit_replicate.run import machine as of_machine  # noqa: E402
from nbdkit_replicate.run.result import Result  # noqa: E402
from nbdkit_replicate.run.interruption import Interrupted, Interruption  # noqa: E402

MESSAGE = Message(Subject(), Level.INFO, "text")


@contextlib.contextmanager
def full(name):
    """A block in which sys.stdout or sys.stderr has no room."""
    with text_file("/dev/full") as file, mock.patch.object(sys, name, file):
        yield


@contextlib.contextmanager
def text_file(path):
    """That it cannot be written is no matter when it is closed."""
    file = open(path, "w", encoding="utf-8")
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


def no_room(_):
    raise OSError("no room")


class Views(unittest.TestCase):
    def test_standard_error(self):
        with full("stderr"):
            say("text")
            View(Style()).print(MESSAGE)

    def test_debug_messages_of_a_program(self):
        async def run():
            errors = Errors("source")
            with errors.passed() as writing:
                os.write(writing, b"nbdkit: debug: one\nnbdkit: error: it is torn\n")
            self.assertEqual(errors.cause(), "it is torn")
            errors.close()
        with full("stderr"):
            asyncio.run(run())

    def test_a_terminal_that_is_closed(self):
        from nbdkit_replicate.report.terminal import TerminalView
        user, program = os.openpty()
        with text_file(program) as terminal, mock.patch.object(sys, "stderr", terminal):
            view = TerminalView(Style())
            with view.shown():
                view.print(MESSAGE)
                os.close(user)
                with self.assertRaises(OSError):
                    os.write(program, b"x")
                view.print(MESSAGE)

    def test_json_is_given_up_and_that_is_said_once(self):
        said = []
        with messages_to(lambda message: said.append(message.text)), full("stdout"):
            view = JsonView(Style(json=True))
            for _ in range(2):
                view(RunBegun("web1", record=RunRecord("web1", "T", 1.0)))
        self.assertEqual(said, ["standard output cannot be written, and gets no more objects of --json: No space left on "
                                "device"])


class Signals(unittest.TestCase):
    def setUp(self):
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def test_a_signal_ends_what_is_waited_for(self):
        async def run():
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            interruption = Interruption()
            with interruption.handle_signals():
                with self.assertRaises(Interrupted), interruption.scope():
                    os.kill(os.getpid(), signal.SIGTERM)
                    async with asyncio.timeout(60):
                        await asyncio.Event().wait()
        with messages_to(no_room):
            asyncio.run(run())

    def test_a_hangup_that_is_ignored_stays_ignored(self):
        async def hangup_within(block):
            with block():
                return signal.getsignal(signal.SIGHUP)

        for block in (lambda: Interruption().handle_signals()), ended_by_signals:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            self.assertNotIn(asyncio.run(hangup_within(block)), (signal.SIG_DFL, signal.SIG_IGN))
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            self.assertEqual(asyncio.run(hangup_within(block)), signal.SIG_IGN)
            self.assertEqual(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)


class Ends(unittest.TestCase):
    """A step of the end that fails, as by a bug, does not keep the next ones from being taken."""

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        replaced = {of_disk: "Server Client StatisticsFiles Circumstances WrittenFile PullStatistics target_command "
                    "enlarge_file",
                    of_machine: "start_source source_command source_statistics coalesce_read RunContext"}
        for module, names in replaced.items():
            for name in names.split():
                stack.enter_context(mock.patch.object(module, name))
        self.context = mock.MagicMock(interruption=Interruption(), source=mock.MagicMock(end_limit=None))
        self.server = mock.MagicMock(wait_ready=mock.AsyncMock(), stop=mock.AsyncMock(), ended=mock.AsyncMock(return_value=0))
        of_disk.WrittenFile.of.return_value.is_replaced.return_value = False
        of_disk.Server.start = mock.AsyncMock(return_value=self.server)
        of_machine.start_source.side_effect = mock.AsyncMock(return_value=self.server)

    def copy(self, pulls):
        disk = mock.MagicMock(also=(), image=None, replication=SimpleNamespace(pulls=pulls, client="nbdcopy"))
        with self.assertRaisesRegex(RuntimeError, "bug"):
            asyncio.run(of_disk.DiskRun(disk, 0, self.context)._copy(mock.MagicMock()))

    def fail_at(self, report, stage):
        def fail(now):
            if now == stage:
                raise RuntimeError("bug")
        report.stage.side_effect = fail

    def test_the_connections_of_a_destination_are_drained(self):
        self.server.stop.side_effect = RuntimeError("bug")
        self.copy(pulls=True)
        self.context.drain.assert_called_once_with(self.server.keep_connections.return_value)

    def test_the_client_is_ended_and_its_connections_are_drained(self):
        client = mock.MagicMock(wait=mock.AsyncMock(return_value=1), stop=mock.AsyncMock())
        of_disk.Client.start = mock.AsyncMock(return_value=client)
        self.fail_at(self.context.report.disk.return_value, Stage.COMPLETING)
        self.copy(pulls=False)
        self.context.drain.assert_any_call(client.stop.return_value)

    def test_a_source_that_had_to_be_killed(self):
        """It makes no complete copy incomplete; one that ends badly by itself does."""
        of_machine.RunContext.return_value.drained = mock.AsyncMock()
        self.server.stop.return_value = False
        self.server.cause.return_value = "source: the snapshot is left"
        replication = SimpleNamespace(at_once=1, patience=0, several=False, only=("2000",))
        for killed in True, False:
            self.server.killed = killed
            run = of_machine.MachineRun(replication, None, None, mock.MagicMock(), Interruption())
            with mock.patch.object(run, "_copy_disks", mock.AsyncMock(return_value=[Result.DONE])), \
                    contextlib.nullcontext() if killed else self.assertRaisesRegex(Failure, "not complete: source: the snapshot is left"):
                self.assertEqual(asyncio.run(run._with_source(mock.MagicMock())), Result.DONE)

    def test_the_source_is_ended(self):
        report = mock.MagicMock()
        self.fail_at(report, Stage.REMOVING)
        of_machine.RunContext.return_value.drained = mock.AsyncMock()
        replication = SimpleNamespace(at_once=1, patience=0, several=False)
        run = of_machine.MachineRun(replication, None, None, report, Interruption())
        with mock.patch.object(run, "_copy_disks", mock.AsyncMock()), self.assertRaisesRegex(RuntimeError, "bug"):
            asyncio.run(run._with_source(mock.MagicMock()))
        self.server.stop.assert_awaited_once()
