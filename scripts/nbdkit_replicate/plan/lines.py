# SPDX-License-Identifier: BSD-3-Clause
"""On which lines of a TOML document its keys are. tomllib does not tell.

The document is known to be valid, so a scan of its lines is enough: tables, keys, and where values end that go on over
several lines. A key within an inline table or an array is looked for from the line of the value on.
"""
import re

Key = tuple[str | int, ...]  # an integer is the place in an array, counted from 0

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")
# What a value consists of, as far as it matters for its end.
_TOKEN = re.compile(r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[\[{]|[\]}]|\n|[^"'#\[\]{}\n]+''',
                    re.DOTALL)


def lines_of_keys(text: str) -> dict[Key, int]:
    """Counted from 1; the first line of each key or table."""
    lines: dict[Key, int] = {}
    arrays: dict[Key, int] = {}  # the place of the latest table in each array of tables
    table: Key = ()
    at = 0
    while at < len(text):
        if header := _HEADER.match(text, at):
            line = text.count("\n", 0, header.start(1)) + 1
            at = _end_of_line(text, header.end())
            table = _table(_parts(header[2]), header[1] == "[[", arrays)
            _note(lines, table, line)
        elif key := _KEY.match(text, at):
            line = text.count("\n", 0, key.start(1)) + 1
            at = _end_of_value(text, key.end())
            _note(lines, (*table, *_parts(key[1])), line)
        else:
            at = _end_of_line(text, at)
    return lines


def within(text: str, line: int, rest: Key) -> int:
    """The line of a key within the value that begins on `line`."""
    for part in rest:
        if isinstance(part, str):
            start = sum(len(one) for one in text.splitlines(keepends=True)[:line - 1])
            found = re.compile(rf"""(?<![\w-])["']?{re.escape(part)}["']?\s*=""").search(text, start)
            if found:
                line = text.count("\n", 0, found.start()) + 1
    return line


def _note(lines: dict[Key, int], key: Key, line: int) -> None:
    """With the tables that a dotted key begins."""
    for length in range(1, len(key) + 1):
        lines.setdefault(key[:length], line)


def _table(parts: Key, is_array: bool, arrays: dict[Key, int]) -> Key:
    """The full key of the table of a header: below an array of tables it is in the latest of them."""
    full: Key = ()
    for number, part in enumerate(parts):
        full = (*full, part)
        if is_array and number == len(parts) - 1:
            arrays[full] = arrays.get(full, -1) + 1
        if full in arrays:
            full = (*full, arrays[full])
    return full


def _parts(dotted: str) -> Key:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in re.findall(_PART, dotted))


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _end_of_value(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            return _end_of_line(text, at)
        at = token.end()
        depth += (token[0] in "[{") - (token[0] in "]}")
        if token[0] == "\n" and depth == 0:
            return at
    return at
