# SPDX-License-Identifier: BSD-3-Clause
"""The faults of tests/mutants/*.toml, and how they are put into the text of a file."""

import dataclasses
import glob
import os
import re
import tomllib

SWITCH = re.compile(r"\bMUTANT\b")
# Not with quotes: a file of this name is none of the product's. The line numbers stay the file's own.
INCLUDE = "#include <replicate_mutant.hpp>\n#line 1\n"


class Wrong(Exception):
    """Something that the user has to mend; the text says all."""


@dataclasses.dataclass(frozen=True)
class Fault:
    id: str
    what: str
    file: str
    old: str
    new: str
    module: str
    tests: tuple = ()  # its own, narrowest first
    more: tuple = ()  # the module's
    no_effect: str = ""


def load(root):
    """All faults, in the order of the files."""
    known, wrong = [], []
    for path in sorted(glob.glob(os.path.join(root, "tests", "mutants", "*.toml"))):
        name = os.path.relpath(path, root)
        module = os.path.basename(path).removesuffix(".toml")
        try:
            with open(path, "rb") as file:
                document = tomllib.load(file)
            more = tuple(document.pop("tests", ()))
            entries = document.pop("fault", [])
            if document:
                raise Wrong(f"there is no {', '.join(document)} in such a list")
        except (tomllib.TOMLDecodeError, Wrong) as error:
            wrong.append(f"{name}: {error}")
            continue
        for entry in entries:
            try:
                known.append(_fault(entry, module, more))
            except (TypeError, Wrong) as error:
                wrong.append(f"{name}: {entry.get('id', 'a fault without id')}: {error}")
    seen = set()
    for fault in known:
        if fault.id in seen:
            wrong.append(f"tests/mutants/{fault.module}.toml: {fault.id}: another fault has this id")
        seen.add(fault.id)
    if wrong:
        raise Wrong("\n".join(wrong))
    return known


def _fault(entry, module, more):
    fault = Fault(**{**entry, "module": module, "tests": tuple(entry.get("tests", ())), "more": more})
    if not re.fullmatch(re.escape(module) + r"-[a-z0-9-]+", fault.id):
        raise Wrong(f"an id begins with {module}-, and has no other characters than a-z, 0-9 and -")
    if not SWITCH.search(fault.new):
        raise Wrong("new does not say MUTANT: the fault would always be there")
    if not fault.no_effect and not fault.tests + more:
        raise Wrong("it names no tests")
    return fault


def choose(known, words):
    """The faults that the words of a command line mean: names of modules, or ids."""
    chosen = [fault for fault in known if not words or fault.module in words or fault.id in words]
    for word in words:
        if not any(word in (fault.module, fault.id) for fault in chosen):
            raise Wrong(f"there is no module and no fault {word}")
    return chosen


def mutated(root, known):
    """{file: its text with all its faults}."""
    texts, wrong = {}, []
    for fault in known:
        where = f"tests/mutants/{fault.module}.toml: {fault.id}"
        try:
            if fault.file not in texts:
                with open(os.path.join(root, fault.file), encoding="utf-8") as file:
                    texts[fault.file] = file.read()
        except OSError as error:
            wrong.append(f"{where}: {fault.file}: {error.strerror}")
            continue
        count = texts[fault.file].count(fault.old)
        if count != 1:
            stands = "does not stand" if count == 0 else f"stands {count} times"
            wrong.append(f"{where}: old {stands} in {fault.file}: {fault.old.strip().splitlines()[0]}")
            continue
        new = SWITCH.sub(lambda _: _switch(fault), fault.new)
        texts[fault.file] = texts[fault.file].replace(fault.old, new)
    for file, text in texts.items():
        if not is_cpp(file):
            try:
                compile(text, file, "exec")
            except SyntaxError as error:
                wrong.append(f"with the faults of tests/mutants {file} is no Python: line {error.lineno}: {error.msg}")
    if wrong:
        raise Wrong("\n".join(wrong))
    return {file: INCLUDE + text if is_cpp(file) else text for file, text in texts.items()}


def is_cpp(file):
    return file.endswith((".cpp", ".hpp"))


def _switch(fault):
    if is_cpp(fault.file):
        return f'replicate_mutant("{fault.id}")'
    # Everything else that is a program of ours is Python; with and without .py.
    return f'(__import__("os").environ.get("REPLICATE_MUTANT") == "{fault.id}")'
