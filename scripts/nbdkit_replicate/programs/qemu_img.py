# SPDX-License-Identifier: BSD-3-Clause
"""qemu-img, for what is asked of it and done by it besides copying."""
import asyncio
import json
from dataclasses import dataclass

from ..messages import Failure
from .errors import Errors
from .process import Process, outcome


@dataclass(frozen=True)
class Ended:
    """How it has ended."""

    status: int
    output: str
    cause: str  # the error that it has reported; "" if none


async def end_of_qemu_img(*words: str) -> Ended:
    """Until it ends. Raises Failure if it is not there."""
    errors = Errors("qemu-img", shown=False)
    process = await Process.start(["qemu-img", *words], read_output=True, errors=errors)
    try:
        output = await process.read_output()
        status = await process.wait()
    finally:
        process.terminate()
        await asyncio.shield(process.wait())
        cause = errors.cause()
        errors.close()
    return Ended(status, output.decode(errors="replace"), cause)


async def run_qemu_img(*words: str) -> str:
    """Its output. Raises Failure if it does not succeed."""
    ended = await end_of_qemu_img(*words)
    if ended.status != 0:
        raise Failure(f"qemu-img {words[0]}: {ended.cause or 'it ended with ' + outcome(ended.status)}")
    return ended.output


async def written_ranges(path: str) -> list[tuple[int, int]]:
    """What a QCOW2 image itself holds, and not one that it lies on: (offset, length)."""
    extents = json.loads(await run_qemu_img("map", "--output=json", "-f", "qcow2", path))
    return [(one["start"], one["length"]) for one in extents if one["depth"] == 0 and (one["data"] or one["zero"])]
