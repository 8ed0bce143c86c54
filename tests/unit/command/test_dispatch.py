# SPDX-License-Identifier: BSD-3-Clause
"""The verbs of nbdkit-replicate, and what it says of itself."""
import contextlib
import io
import os
import re
import sys
import tempfile
import textwrap
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate import VERSION, dispatch, verbs  # noqa: E402
from nbdkit_replicate.main import main  # noqa: E402

VERB = '''
    """Greet.

    More."""
    from nbdkit_replicate.messages import Failure, WrongUse

    def add_arguments(parser):
        parser.add_argument("--loud", action="store_true")
        parser.add_argument("name")
        parser.add_argument("more", nargs="*")

    def execute(arguments):
        if arguments.name == "failure":
            raise Failure("it has failed")
        if arguments.name == "wrong":
            raise WrongUse("it is wrong")
        print("hello", arguments.name, *arguments.more)
        return 3
'''


class Verbs(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        with open(os.path.join(directory.name, "greet.py"), "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(VERB).lstrip())
        for name, value in ("VERBS", ("greet",)), ("__path__", [directory.name]), ("__file__", directory.name + "/x"):
            patch = mock.patch.object(verbs, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        self.addCleanup(sys.modules.pop, f"{verbs.__name__}.greet", None)

    def run_main(self, *words):
        """Returns the exit status, and what is written to standard output and standard error."""
        output, errors = io.StringIO(), io.StringIO()
        with mock.patch.object(sys, "argv", ["nbdkit-replicate", *words]), \
                contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                status = main()
            except SystemExit as e:
                status = e.code
        return status, output.getvalue(), errors.getvalue()

    def test_the_first_word_is_the_verb(self):
        self.assertEqual(self.run_main("greet", "you"), (3, "hello you\n", ""))

    def test_options_may_stand_between_names(self):
        self.assertEqual(self.run_main("greet", "you", "--loud", "and", "me"), (3, "hello you and me\n", ""))

    def test_a_verb_has_a_help_of_its_own(self):
        status, output, _ = self.run_main("greet", "--help")
        self.assertEqual(status, 0)
        self.assertIn("usage: nbdkit-replicate greet [-h] [--loud] name", output)

    def test_the_help_lists_the_verbs(self):
        self.assertIn("  greet     Greet.\n", self.run_main("--help")[1])

    def test_failures_of_a_verb_are_said_and_have_their_status(self):
        self.assertEqual(self.run_main("greet", "failure"), (1, "", "nbdkit-replicate: it has failed\n"))
        self.assertEqual(self.run_main("greet", "wrong"), (2, "", "nbdkit-replicate: it is wrong\n"))

    def test_wrong_arguments_of_a_verb(self):
        status, _, errors = self.run_main("greet")
        self.assertEqual(status, 2)
        self.assertIn("the following arguments are required: name", errors)

    def test_another_first_word_is_no_verb(self):
        self.assertFalse(dispatch.is_verb([]))
        self.assertFalse(dispatch.is_verb(["--state", "greet"]))
        status, _, errors = self.run_main("gret")
        self.assertEqual(status, 2)
        self.assertIn("there is no verb gret", errors)


class Version(unittest.TestCase):
    def test_it_is_that_of_the_project(self):
        with open(os.path.join(os.environ["SOURCE"], "meson.build"), encoding="utf-8") as file:
            self.assertEqual(re.search(r"^  version: '(.*)'", file.read(), re.M)[1], VERSION)

    def test_each_verb_is_a_module_with_a_summary(self):
        for line in dispatch.list_of_verbs().splitlines():
            self.assertRegex(line, r"^  \w+ +[A-Z].*\.$")
