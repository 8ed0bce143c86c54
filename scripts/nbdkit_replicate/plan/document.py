# SPDX-License-Identifier: BSD-3-Clause
"""A TOML document that is read key by key. Each error names the file, the line and the key."""
import difflib
import re
import tomllib
from dataclasses import dataclass
from typing import Any

from ..messages import WrongUse
from .lines import Key, lines_of_keys, within


@dataclass(frozen=True)
class Document:
    path: str
    text: str
    values: dict[str, Any]
    lines: dict[Key, int]

    @classmethod
    def read(cls, path: str) -> "Document":
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as e:
            why = e.strerror if isinstance(e, OSError) else str(e)
            raise WrongUse(f"cannot read the plan {path}: {why}") from e
        try:
            return cls(path, text, tomllib.loads(text), lines_of_keys(text))
        except tomllib.TOMLDecodeError as e:
            raise WrongUse(_syntax(path, str(e))) from e

    def root(self) -> "Table":
        return Table(self, (), self.values)

    def line(self, key: Key) -> int:
        """Of a key, or of the value that it is a part of."""
        for length in range(len(key), 0, -1):
            line = self.lines.get(key[:length])
            if line is not None:
                return within(self.text, line, key[length:])
        return 1

    def wrong(self, key: Key, what: str) -> WrongUse:
        about = f"{name_of(key)}: " if key else ""
        return WrongUse(f"{self.path}:{self.line(key)}: {about}{what}")


def _syntax(path: str, error: str) -> str:
    place = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", error, re.DOTALL)
    return f"{path}:{place[2]}: column {place[3]}: {place[1]}" if place else f"{path}: {error}"


def name_of(key: Key) -> str:
    """vm.web1.keep; a table of an array by its number, counted from 1: vm[2].keep."""
    parts = (f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in key)
    return "".join(parts).removeprefix(".")


class Table:
    """A table of a document. What its reader has not asked for is refused by finish()."""

    def __init__(self, document: Document, key: Key, values: dict[str, Any]) -> None:
        self.document = document
        self.key = key
        self._values = values
        self._known: list[str] = []

    def has(self, key: str) -> bool:
        return key in self._values

    def wrong(self, key: str | None, what: str) -> WrongUse:
        """An error about a key of this table; None: about the table itself."""
        return self.document.wrong(self.key if key is None else (*self.key, key), what)

    def get(self, key: str, kinds: type | tuple[type, ...], meant: str) -> Any:
        """None if it is not there. meant: what it must be, for the message."""
        self._known.append(key)
        value = self._values.get(key)
        if value is None or isinstance(value, kinds) and (kinds is bool or not isinstance(value, bool)):
            return value
        raise self.wrong(key, f"must be {meant}, not {_shown(value)}")

    def text(self, key: str) -> str | None:
        value: str | None = self.get(key, str, "a text")
        if value == "":
            raise self.wrong(key, "must not be empty")
        return value

    def required_text(self, key: str, why: str) -> str:
        value = self.text(key)
        if value is None:
            raise self.wrong(None, f"{key} is missing: {why}")
        return value

    def integer(self, key: str, least: int, default: int) -> int:
        value = self.get(key, int, "a number")
        if value is not None and value < least:
            raise self.wrong(key, f"must be at least {least}, not {value}")
        return default if value is None else int(value)

    def optional_integer(self, key: str, least: int) -> int | None:
        return self.integer(key, least, 0) if self.has(key) else self.get(key, int, "")

    def boolean(self, key: str, default: bool) -> bool:
        value = self.get(key, bool, "true or false")
        return default if value is None else bool(value)

    def texts(self, key: str) -> tuple[str, ...] | None:
        """An array of texts."""
        values = self.get(key, list, "an array of texts")
        if values is None:
            return None
        for number, value in enumerate(values):
            if not isinstance(value, str) or not value:
                raise self.document.wrong((*self.key, key, number), f"must be a text, not {_shown(value)}")
        return tuple(values)

    def table(self, key: str) -> "Table":
        """An empty one if it is not there."""
        values = self.get(key, dict, "a table")
        return Table(self.document, (*self.key, key), values or {})

    def tables(self, key: str) -> "list[Table]":
        """Of an array of tables."""
        values = self.get(key, list, "an array of tables")
        return [self._element(key, number, value) for number, value in enumerate(values or [])]

    def named(self, key: str) -> "dict[str, Table]":
        """The tables of a table: [key.NAME]."""
        values = self.get(key, dict, f"tables [{key}.NAME]")
        return {name: self._element(key, name, value) for name, value in (values or {}).items()}

    def finish(self) -> None:
        """Refuses keys that nobody has asked for."""
        for key in self._values:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, n=1)
                known = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(self._known))}"
                raise self.wrong(key, f"there is no such key; {known}")

    def _element(self, key: str, part: int | str, value: Any) -> "Table":
        place = (*self.key, key, part)
        if not isinstance(value, dict):
            raise self.document.wrong(place, f"must be a table, not {_shown(value)}")
        return Table(self.document, place, value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return {list: "an array", dict: "a table"}.get(type(value), str(value))
