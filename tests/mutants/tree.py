# SPDX-License-Identifier: BSD-3-Clause
"""The copy of the tree with all the faults in it."""

import hashlib
import os
import subprocess

from faults import mutated

# Constexpr, so that a fault may stand in a constexpr function; but its value is never a constant.
HEADER = """// Written by scripts/mutate.
#pragma once

#include <cstdlib>
#include <cstring>

inline bool replicate_mutant_active(const char *id) {
  static const char *const active = std::getenv("REPLICATE_MUTANT");
  return active != nullptr && std::strcmp(active, id) == 0;
}
constexpr bool replicate_mutant(const char *id) { return *id != 0 && replicate_mutant_active(id); }
"""
# What no test's result depends on.
_ASIDE = (".md", ".pod")


def copy(root, to, known):
    """Makes `to` the tree of root with the faults; files that are as they should be stay untouched, so that
    little is built again. Returns a digest of the tree without faults."""
    texts = mutated(root, known)
    digest = hashlib.sha256()
    wanted = {"replicate_mutant.hpp": (HEADER.encode(), 0o644)}
    for name in _files(root):
        path = os.path.join(root, name)
        with open(path, "rb") as file:
            content = file.read()
        if not name.endswith(_ASIDE):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        wanted[name] = (texts[name].encode() if name in texts else content, os.stat(path).st_mode & 0o777)
    for name, (content, mode) in wanted.items():
        _write(os.path.join(to, name), content, mode)
    for folder, folders, names in os.walk(to):
        if folder == to and "build" in folders:
            folders.remove("build")
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, to) not in wanted:
                os.unlink(path)
    return digest.hexdigest()


def _files(root):
    """What git knows of, and what is new; not the faults themselves, nor what has been removed."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    return [name for name in sorted(set(listed))
            if not name.startswith("tests/mutants/") and os.path.isfile(os.path.join(root, name))]


def _write(path, content, mode):
    try:
        with open(path, "rb") as file:
            same = file.read() == content
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        same = False
    if not same:
        with open(path, "wb") as file:
            file.write(content)
    if os.stat(path).st_mode & 0o777 != mode:
        os.chmod(path, mode)
