# SPDX-License-Identifier: BSD-3-Clause
"""Tables of plain text on standard output."""
from collections.abc import Collection, Sequence


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> None:
    """right: the columns, by number, that are aligned at their ends."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = (text.rjust(width) if column in right else text.ljust(width)
                 for column, (text, width) in enumerate(zip(line, widths)))
        print("  ".join(cells).rstrip())


def size_text(count: int) -> str:
    """Of bytes: 512 B, 1.5 GiB."""
    if count < 1024:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        size /= 1024
        if size < 1024 or unit == "PiB":
            break
    return f"{size:.1f} {unit}"
