# SPDX-License-Identifier: BSD-3-Clause
"""What must not be."""


class Violation(Exception):
    """A promise of the server that it has not kept."""
