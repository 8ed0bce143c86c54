# SPDX-License-Identifier: BSD-3-Clause
"""What the source holds, and how it is served."""

import os
import random


def make_source(generator: random.Random) -> bytes:
    """Data and zeroes; source.raw has holes for them."""
    size = generator.randint(2_000_000, 6_000_000)
    disk = bytearray(generator.randbytes(size))
    for _ in range(generator.randrange(6)):
        start = generator.randrange(size)
        length = generator.randint(1, 500_000)
        disk[start:start + length] = bytes(len(disk[start:start + length]))
    with open("source.raw", "wb") as f:
        for start in range(0, size, 65536):
            part = disk[start:start + 65536]
            f.seek(start)
            if any(part):
                f.write(part)
        f.truncate(size)
    return bytes(disk)


def source_command(generator: random.Random) -> list[str]:
    """It may be slow; while the file `failing` exists, a third of its answers are errors."""
    delay = generator.choice(["0", "1ms", "5ms"])
    error = generator.choice(["EIO", "ENOMEM", "ESHUTDOWN"])
    return ["-r", "--filter=error", "--filter=delay", "file", "source.raw", f"rdelay={delay}", f"error={error}",
            "error-rate=30%", f"error-file={os.getcwd()}/failing"]
