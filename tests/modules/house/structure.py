#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""structure.py TREE: checks the source tree against the tables of TREE/ARCHITECTURE.md.

- Every folder with C++ sources of the product stands in the table "Folders", and includes only what its
  row allows: folders of its own module that the row names, and common/. Within common/ likewise.
- No module includes another, and common/ includes no module.
- Only the doors (plugin.cpp, filter.cpp, and the files that say "A part of the door.") include nbdkit's headers
  and common/nbdkit, and no room includes a part of the door.
- A class, struct or enum of one name in two modules, and a file of one name in two folders, stands in the table
  "Names that several folders share", which says what it means.
- Each C++ file and each bats file is named by a meson.build: a test that is not cannot fail.
- Each function and class of the command is named where it is used, and not by tests alone; what a file imports, it uses.
- No folder has more than MOST_ROOMS rooms, no file more than MOST_LINES lines, unless it says why at its head
  ("Longer than 250 lines because ...").

Prints what is wrong, a line each, and exits 1 if anything is.
"""

import ast
import os
import re
import sys
from collections import Counter, defaultdict

MOST_ROOMS = 13
MOST_LINES = 250
TOP = ("plugins", "filters", "common")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
DEFINITION = re.compile(
    r"^(?:template <[^;{]*>\s*)?(?:class|struct|enum class|enum) (?:\[\[[a-z_]+\]\] |ABSL_[A-Z_]+ )*(\w+)\b[^;{]*\{", re.M
)


def table(text, heading):
    """The rows of the Markdown table below a heading, as lists of cells; code marks are removed."""
    part = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", text, re.M | re.S)
    if not part:
        raise SystemExit(f"ARCHITECTURE.md has no section \"{heading}\"")
    rows = [line for line in part[1].splitlines() if line.startswith("|")]
    return [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in rows[2:]]


def texts_of(tree, tops, endings):
    """The content of each file below these folders of the tree whose name ends so, by its path below the tree."""
    texts = {}
    for top in tops:
        for folder, _, names in sorted(os.walk(os.path.join(tree, top))):
            for path in (os.path.join(folder, name) for name in sorted(names) if name.endswith(endings)):
                with open(path, encoding="utf-8") as file:
                    texts[os.path.relpath(path, tree)] = file.read()
    return texts


def module_of(path):
    """plugins/qcow2 for all that is in it; common for all of common/."""
    parts = path.split("/")
    return parts[0] if parts[0] == "common" else "/".join(parts[:2])


def is_door(texts, path):
    """Whether a file may know nbdkit."""
    if path.startswith("common/nbdkit/") or os.path.basename(path) in ("plugin.cpp", "filter.cpp"):
        return True
    header = os.path.splitext(path)[0] + ".hpp"
    return "A part of the door." in "\n".join(texts.get(header, "").splitlines()[:5])


def check_includes(texts, allowed):
    """Yields what includes something that it may not."""
    for path, text in texts.items():
        folder, module = os.path.dirname(path), module_of(path)
        for kind, name in INCLUDE.findall(text):
            if kind == "<":
                if name.startswith("nbdkit-") and not is_door(texts, path):
                    yield f"{path} includes <{name}>: only a door may"
                continue
            if name not in texts:
                yield f"{path} includes \"{name}\", which is no file of the tree"
                continue
            target, target_module = os.path.dirname(name), module_of(name)
            if target_module not in (module, "common"):
                yield f"{path} includes {name}: of another module"
            elif is_door(texts, name) and not is_door(texts, path) and not path.startswith("common/nbdkit/"):
                yield f"{path} includes {name}: a room includes a part of the door"
            elif target != folder and target_module == module and target not in allowed.get(folder, ()):
                yield f"{path} includes {name}: {folder}/ may not include {target}/"


def check_names(texts, shared):
    """Yields names that mean two things, as far as a name can tell."""
    classes, files = defaultdict(set), defaultdict(set)
    for path, text in texts.items():
        if path.endswith(".hpp"):
            for name in DEFINITION.findall(text):
                classes[name].add(module_of(path) if module_of(path) != "common" else os.path.dirname(path))
        files[os.path.splitext(os.path.basename(path))[0]].add(os.path.dirname(path))
    for kind, names in (("class", classes), ("file", files)):
        for name, places in sorted(names.items()):
            if len(places) > 1 and name not in shared:
                yield f"the {kind} name {name} stands in {', '.join(sorted(places))}, and not in the table of shared names"
    for name in sorted(shared):
        if len(classes.get(name, ())) < 2 and len(files.get(name, ())) < 2:
            yield f"{name} stands in the table of shared names, and is not shared"


def check_sizes(texts):
    """Yields folders and files that have grown too large."""
    rooms = defaultdict(set)
    for path, text in texts.items():
        rooms[os.path.dirname(path)].add(os.path.splitext(os.path.basename(path))[0])
        lines = text.count("\n")
        if lines > MOST_LINES and "Longer than 250 lines because" not in "\n".join(text.splitlines()[:15]):
            yield f"{path} has {lines} lines: part it, or say at its head why not"
    for folder, names in sorted(rooms.items()):
        if len(names) > MOST_ROOMS:
            yield f"{folder}/ has {len(names)} rooms"


def check_built(tree):
    """Yields what no meson.build names."""
    tops = (*TOP, "tests")
    builds = "".join(texts_of(tree, tops, "meson.build").values())
    named = set(re.findall(r"['/]([\w.@-]+)'", builds))
    built = re.compile("|".join(re.escape(name).replace("@0@", ".*") for name in named))
    paths = texts_of(tree, tops, (".cpp", ".bats"))
    yield from (f"{path} is in no meson.build" for path in paths if not built.fullmatch(os.path.basename(path)))


def check_used(tree):
    """Yields functions and classes of the command that nothing but tests names, and imports that their file does not use."""
    texts = texts_of(tree, ["scripts"], ".py")
    words = Counter(word for text in texts.values() for word in re.findall(r"\w+", text))
    for path, text in texts.items():
        own = Counter(re.findall(r"\w+", text))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                if words[node.name] < 2 and not node.name.startswith("__"):
                    yield f"{path}: {node.name} is used by nothing"
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for name in node.names:
                    if own[(name.asname or name.name).split(".")[0]] < 2:
                        yield f"{path}: {name.name} is imported and not used"


def main(tree):
    texts = texts_of(tree, TOP, (".cpp", ".hpp"))
    with open(os.path.join(tree, "ARCHITECTURE.md"), encoding="utf-8") as file:
        architecture = file.read()
    allowed = {}
    for folder, _, includes in table(architecture, "Folders"):
        folder = folder.rstrip("/")
        base = "common" if folder.startswith("common") else module_of(folder)
        allowed[folder] = {
            base if name == "." else f"{base}/{name.rstrip('/')}" for name in includes.replace(",", " ").split()
        }
    shared = {row[0] for row in table(architecture, "Names that several folders share")}
    folders = {os.path.dirname(path) for path in texts}
    wrong = [f"{folder}/ is not in the table of folders" for folder in sorted(folders - set(allowed))]
    wrong += [f"{folder}/ is in the table of folders, and has no sources" for folder in sorted(set(allowed) - folders)]
    wrong += [*check_includes(texts, allowed), *check_names(texts, shared), *check_sizes(texts), *check_built(tree)]
    wrong += check_used(tree)
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
