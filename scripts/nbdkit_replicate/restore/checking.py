# SPDX-License-Identifier: BSD-3-Clause
"""Whether a restore point is what it was when it was written."""
from ..messages import Failure
from ..points.points import Point
from ..points.store import StoredImage
from ..programs.directory import RunDirectory
from ..programs.process import outcome
from ..programs.qemu_img import end_of_qemu_img
from .reading import Reading, copy, shown

LEAKS = 3  # exit status of qemu-img check: space that nothing uses, which harms nobody


class Checker:
    """Looks at each image once, though many points may lie on it."""

    def __init__(self, build: str | None, directory: RunDirectory) -> None:
        self._how = Reading(build)
        self._directory = directory
        self._known: dict[tuple[int, int], str] = {}

    async def faults(self, point: Point) -> list[str]:
        """For people; empty if it is right."""
        if not point.is_complete:
            return [point.why]
        faults = [fault for image in point.chain.images if (fault := await self._fault_of_tables(image))]
        if not faults:
            try:
                async with shown(point, self._how, self._directory) as server:
                    await copy(server, "null:")
            except Failure as e:
                faults.append(str(e))
        return faults

    async def _fault_of_tables(self, image: StoredImage) -> str:
        if image.identity not in self._known:
            self._known[image.identity] = await check_tables(image.path)
        return self._known[image.identity]


async def check_tables(path: str) -> str:
    """What is wrong with those of this image alone; "": nothing."""
    ended = await end_of_qemu_img("check", "-q", "-f", "qcow2", path)
    if ended.status in (0, LEAKS):
        return ""
    first = next((line for line in ended.output.splitlines() if "ERROR" in line), "")
    return f"{path}: qemu-img check: {ended.cause or first or outcome(ended.status)}"
