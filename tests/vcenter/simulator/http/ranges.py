# SPDX-License-Identifier: BSD-3-Clause
"""Range headers, and answers that are a status only."""

import re


class Refused(Exception):
    """An HTTP status instead of content."""

    def __init__(self, status, headers=()):
        super().__init__(str(status))
        self.status, self.headers = status, headers


def asked_range(header):
    """range() of a Range header with both ends, or None."""
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", header or "")
    return range(int(match[1]), int(match[2]) + 1) if match else None


def requested_range(header, size):
    """(start, end) of a Range header, or None for the whole content. Raises Refused(416)."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not match or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:
        start, end = max(0, size - int(last)), size
    if start >= end:
        raise Refused(416, [("Content-Range", f"bytes */{size}")])
    return start, end
