# SPDX-License-Identifier: BSD-3-Clause
"""Parses bash as far as the tests' files need: which commands there are, and whose status counts.

    parse(text) -> list of Statement
"""

import dataclasses
import re

_REDIRECTION = re.compile(r"\d*[<>]&[\d-]*|&>+")
_HEREDOC = re.compile(r"<<(-?)\s*(['\"\\]?)(\w+)")
_TOKEN = re.compile(r"&&|\|\||;;|[;&|()\n]|[^\s;&|()]+")
_END = {"then", "do", "done", "fi", "elif", "else", "esac", "}", ")", ";;"}


@dataclasses.dataclass
class Command:
    """A simple command (its words; what is quoted or substituted is masked), or a compound one."""

    at: int
    kind: str = "simple"  # simple, subshell, group, if, loop, case, function
    words: list = dataclasses.field(default_factory=list)
    conditions: list = dataclasses.field(default_factory=list)  # lists of Statement
    bodies: list = dataclasses.field(default_factory=list)  # lists of Statement
    negated: bool = False


@dataclasses.dataclass
class Statement:
    """Commands joined by && and ||; of a pipeline only the last one, whose status it has."""

    commands: list
    operators: list

    @property
    def at(self):
        return self.commands[0].at


def mask(text):
    """The text, as long as before, with an x for each character that is quoted, substituted or a comment."""
    out = list(text)
    heredocs = []

    def hide(begin, end):
        out[begin:end] = "x" * (end - begin)

    def quoted(i):
        """The end of the double quotes that begin at i."""
        i += 1
        while i < len(text) and text[i] != '"':
            i = skip(i) if text.startswith(("$(", "${"), i) else i + (2 if text[i] == "\\" else 1)
        return i + 1

    def skip(i):
        """The end of what begins at i: quotes, $(, ${, <(, >(, an array's (."""
        if text.startswith("$'", i):
            i += 2
            while i < len(text) and text[i] != "'":
                i += 2 if text[i] == "\\" else 1
            return i + 1
        if text[i] == "'":
            return text.index("'", i + 1) + 1
        if text[i] == '"':
            return quoted(i)
        i += 1
        opened = text[i]
        closing = {"(": ")", "{": "}"}[opened]
        depth, i = 1, i + 1
        while i < len(text) and depth:
            if text[i] in "'\"" and not (opened == "{" and text[i] == "'"):
                i = skip(i)
            elif text.startswith(("$(", "${", "$'"), i):
                i = skip(i)
            else:
                depth += {opened: 1, closing: -1}.get(text[i], 0)
                i += 2 if text[i] == "\\" else 1
        return i

    i = 0
    while i < len(text):
        if text[i] == "\\":
            hide(i, i + 2)
            if text[i + 1 : i + 2] == "\n":
                out[i : i + 2] = "  "
            i += 2
        elif text[i] == "#" and (i == 0 or text[i - 1] in " \t\n;("):
            end = text.find("\n", i)
            end = len(text) if end < 0 else end
            out[i:end] = " " * (end - i)
            i = end
        elif text[i] in "'\"" or text.startswith(("$(", "${", "$'", "<(", ">("), i) or text.startswith("=(", i):
            end = skip(i)
            hide(i, end)
            i = end
        elif text.startswith("[[ ", i) or text.startswith("((", i) and text[i - 1] in " \n":
            end = text.index(" ]]" if text[i] == "[" else "))", i) + 1
            hide(i + 3, end - 1)
            hide(i, i + 2) if text[i] == "(" else None
            hide(end, end + 1) if text[i] == "(" else None
            i = end + 2 if text[i] == "[" else end + 1
        elif (found := _HEREDOC.match(text, i)) and not text.startswith("<<<", i):
            heredocs.append((found[3], found[1] == "-"))
            hide(i, found.end())
            i = found.end() + (1 if found[2] in ("'", '"') and found[2] else 0)
            hide(i - 1, i)
        elif text.startswith("<<<", i):
            hide(i, i + 3)
            i += 3
        elif text[i] == "\n" and heredocs:
            i += 1
            for word, tabs in heredocs:
                end = re.compile(("^\t*" if tabs else "^") + word + "$", re.M).search(text, i)
                stop = end.end() if end else len(text)
                out[i:stop] = " " * (stop - i)
                i = stop
            heredocs = []
        else:
            i += 1
    masked = "".join(out)
    return _REDIRECTION.sub(lambda found: "x" * len(found[0]), masked)


class _Parser:
    def __init__(self, text):
        masked = mask(text)
        self._tokens = [(found[0], found.start()) for found in _TOKEN.finditer(masked)] + [("", len(text))]
        self._i = 0

    def rest(self):
        """Where what has not been taken begins, or None."""
        return self._tokens[self._i][1] if self._token() else None

    def _token(self):
        return self._tokens[self._i][0]

    def _take(self):
        self._i += 1
        return self._tokens[self._i - 1][0]

    def _skip(self, *tokens):
        while self._token() in tokens:
            self._i += 1

    def _until(self, *ends):
        words = []
        while self._token() not in ends + ("",):
            words.append(self._take())
        self._i += 1
        return words

    def list(self):
        """Statements up to a word that ends a list, which is not taken."""
        statements = []
        while True:
            self._skip("\n", ";", "&")
            if self._token() in _END or not self._token():
                return statements
            statements.append(self._and_or())

    def _and_or(self):
        statement = Statement([self._pipeline()], [])
        while self._token() in ("&&", "||"):
            statement.operators.append(self._take())
            self._skip("\n")
            statement.commands.append(self._pipeline())
        return statement

    def _pipeline(self):
        negated = self._token() == "!"
        self._skip("!")
        command = self._command()
        while self._token() == "|":
            self._i += 1
            self._skip("\n")
            at = command.at
            command = self._command()
            command.at = at
        command.negated = negated
        return command

    def _command(self):
        token, at = self._tokens[self._i]
        compound = {"(": self._subshell, "{": self._group, "if": self._if, "while": self._while, "until": self._while,
                    "for": self._for, "case": self._case, "@test": self._test}.get(token)
        command = compound(at) if compound else Command(at)
        while self._token() not in ("&&", "||", ";;", ";", "&", "|", "(", ")", "\n", ""):
            command.words.append(self._take())
            if self._token() == "(" and command.kind == "simple" and len(command.words) == 1:
                self._i += 2  # name ( )
                self._skip("\n")
                return Command(at, "function", command.words, bodies=[[Statement([self._command()], [])]])
        return command

    def _subshell(self, at):
        self._i += 1
        command = Command(at, "subshell", bodies=[self.list()])
        self._i += 1
        return command

    def _group(self, at):
        self._i += 1
        command = Command(at, "group", bodies=[self.list()])
        self._i += 1
        return command

    def _test(self, at):
        words = self._until("{")
        self._i -= 1
        return Command(at, "function", words, bodies=[[Statement([self._group(at)], [])]])

    def _if(self, at):
        command = Command(at, "if")
        while self._take() in ("if", "elif"):
            command.conditions.append(self.list())
            self._i += 1  # then
            command.bodies.append(self.list())
        if self._tokens[self._i - 1][0] == "else":
            command.bodies.append(self.list())
            self._i += 1
        return command

    def _while(self, at):
        self._i += 1
        command = Command(at, "loop", conditions=[self.list()])
        self._i += 1
        command.bodies.append(self.list())
        self._i += 1
        return command

    def _for(self, at):
        self._until("do")
        command = Command(at, "loop", bodies=[self.list()])
        self._i += 1
        return command

    def _case(self, at):
        command = Command(at, "case")
        self._until("in")
        self._skip("\n")
        while self._token() not in ("esac", ""):
            self._until(")")
            command.bodies.append(self.list())
            self._skip(";;", "\n")
        self._i += 1
        return command


def parse(text):
    parser = _Parser(text)
    statements = parser.list()
    rest = parser.rest()
    if rest is not None:
        raise ValueError(f"line {text.count(chr(10), 0, rest) + 1}: this is not understood")
    return statements
