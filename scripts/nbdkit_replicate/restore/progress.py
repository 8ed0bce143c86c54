# SPDX-License-Identifier: BSD-3-Clause
"""How far nbdcopy is, said now and then where nobody looks at its bar."""
import asyncio
import contextlib
import os
import time
from collections.abc import Iterator

from ..messages import say
from ..report.text import duration

INTERVAL = 30.0  # seconds


@contextlib.contextmanager
def told() -> Iterator[int]:
    """Yields a file descriptor for nbdcopy's --progress=, which is told of within the block."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    lines = bytearray()
    loop = asyncio.get_running_loop()
    loop.add_reader(reading, lambda: lines.extend(os.read(reading, 4096)))  # never at its end: `writing` is open
    task = loop.create_task(_tell(lines))
    try:
        yield writing
    finally:
        task.cancel()
        loop.remove_reader(reading)
        os.close(reading)
        os.close(writing)


async def _tell(lines: bytearray) -> None:
    """lines: "N/100" each, and perhaps a part of the next one."""
    began = time.monotonic()
    while True:
        await asyncio.sleep(INTERVAL)
        whole = lines.rpartition(b"\n")[0].rpartition(b"\n")[2]
        say(f"{whole.partition(b'/')[0].decode() or 0} % after {duration(time.monotonic() - began)}")
