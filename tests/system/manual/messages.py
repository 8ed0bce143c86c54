# SPDX-License-Identifier: BSD-3-Clause
"""messages.py PAGE SOURCE: prints what the page quotes, =item "MESSAGE", and what no source of the tree says. In a message "..."
stands for what is put into it."""
import re
import sys
from collections.abc import Iterator
from pathlib import Path


def quoted(page: Path) -> Iterator[str]:
    yield from re.findall(r'^=item "(.*)"$', page.read_text("utf-8"), re.M)


def texts(source: Path) -> str:
    """All literals of the product, those that are written in several parts as one."""
    found = []
    for folder, pattern in (("plugins", "*.[ch]pp"), ("filters", "*.[ch]pp"), ("common", "*.[ch]pp"), ("scripts", "*.py")):
        for path in sorted((source / folder).rglob(pattern)):
            text = re.sub(r'(["\'])\s*\n\s*f?\1', "", path.read_text("utf-8"))
            found += [line for line in text.split("\n") if not line.lstrip().startswith(("//", "#", "*"))]
    return "\n".join(found)


def unknown(page: Path, source: Path) -> list[str]:
    """All parts of a message must stand in one line, in this order; and a part be long enough to mean something."""
    all_texts = texts(source)
    return [message for message in quoted(page)
            if max(map(len, message.split("..."))) < 10
            or not re.search(".*".join(map(re.escape, message.split("..."))), all_texts)]


if __name__ == "__main__":
    left = unknown(Path(sys.argv[1]), Path(sys.argv[2]))
    print(*left, sep="\n")
    sys.exit(1 if left else 0)
