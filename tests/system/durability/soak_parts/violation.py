# SPDX-License-Identifier: BSD-3-Clause
"""What must never be."""

BLOCK = 64 * 1024


class Violation(Exception):
    """The text says what was promised and what was found."""


def compare(what, wanted, found, others):
    """Raises Violation if the bytes are not equal. others: name -> content that they may have been taken from."""
    if wanted == found:
        return
    if len(wanted) != len(found):
        raise Violation(f"{what} has {len(found)} bytes, and not {len(wanted)}")
    wrong = [at for at in range(0, len(wanted), BLOCK) if wanted[at:at + BLOCK] != found[at:at + BLOCK]]
    first = next(i for i in range(wrong[0], len(wanted)) if wanted[i] != found[i])
    origins = [f"{sum(found[at:at + BLOCK] == content[at:at + BLOCK] for at in wrong)} of them are {name}"
               for name, content in others.items() if len(content) == len(wanted)]
    raise Violation(f"{what} differs from the source at the snapshot in {len(wrong)} blocks of 64 KiB, first at byte "
                    f"{first}: {', '.join(origins)}")
