# SPDX-License-Identifier: BSD-3-Clause
"""What nbdkit-replicate(1) is made of."""
import sys

ME = "nbdkit-replicate"


class Failure(Exception):
    """What went wrong, for people."""


def say(text):
    print(f"{ME}: {text}", file=sys.stderr, flush=True)
