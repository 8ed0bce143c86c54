# SPDX-License-Identifier: BSD-3-Clause
"""The examples (verbatim paragraphs) of a manual page.

    pod_examples.py PAGE TEXT          prints the example that has a line that begins with TEXT, without its indentation
    pod_examples.py --rest PAGE TEST   prints the first line of each example that TEST does not run, and of which the page
                                       does not say that it is not run

A test runs an example by: example 'TEXT', or by the functions of manual.bash that call it. The page says of an example in the
paragraph before it that it is not run by the tests. A paragraph that is indented by three spaces or more is a table. One whose
first line has "..." is a synopsis.
"""
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

NOT_RUN = "not run by the tests"
RUN = r"\b(?:example|runs|begins \w+|plan_file \S+|listens_as \w+)"


@dataclass(frozen=True)
class Example:
    lines: tuple[str, ...]  # without the indentation of the first line
    run: bool  # False: the page says that it is not


def examples(page: str) -> Iterator[Example]:
    with open(page, encoding="utf-8") as file:
        paragraphs = [" ".join(p.split("\n")) if not p.startswith(" ") else p for p in file.read().split("\n\n")]
    before, verbatim = "", list[str]()
    for paragraph in [*paragraphs, "=cut"]:
        if paragraph.startswith("   ") and not verbatim:
            continue
        if paragraph.startswith(" "):
            verbatim.append(paragraph)
            continue
        if verbatim:
            yield _example(verbatim, NOT_RUN not in before)
            verbatim = []
        before = paragraph


def _example(paragraphs: list[str], run: bool) -> Example:
    lines = "\n\n".join(paragraphs).rstrip("\n").split("\n")
    indentation = len(lines[0]) - len(lines[0].lstrip(" "))
    return Example(tuple(line[indentation:] for line in lines), run)


def shown(page: str, text: str) -> str:
    found = [e for e in examples(page) if any(line.startswith(text) for line in e.lines)]
    if len(found) != 1:
        sys.exit(f"{len(found)} examples of {page} have a line that begins with {text}")
    return "\n".join(found[0].lines)


def rest(page: str, tests: list[str]) -> list[str]:
    texts = []
    for test in tests:
        with open(test, encoding="utf-8") as file:
            texts += [m[1] or m[2] for m in re.finditer(RUN + r""" (?:'([^']+)'|"([^"]+)")""", file.read())]
    return [e.lines[0] for e in examples(page)
            if e.run and "..." not in e.lines[0] and not any(line.startswith(text) for text in texts for line in e.lines)]


if __name__ == "__main__":
    if sys.argv[1] == "--rest":
        left = rest(sys.argv[2], sys.argv[3:])
        print(*left, sep="\n")
        sys.exit(1 if left else 0)
    print(shown(sys.argv[1], sys.argv[2]))
