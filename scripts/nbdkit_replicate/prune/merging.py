# SPDX-License-Identifier: BSD-3-Clause
"""Merges images into the restore point that lies on them.

The lowest of the images becomes the point: it gets the data of all above it, then what the point says of itself, then its
name. So only the data above the lowest one is copied, and no other image is changed. In this order, each step durable before
the next one:

1. The journal (points/merge.py) is written. From now on what is merged are no restore points.
2. Their marks say that they are not complete, so that nobody takes them for that who does not see the journal.
3. qemu-img commit copies into the lowest image what lies above it, up to the point. Meanwhile what lies in the middle may
   read as anything. The point reads as before: what is copied is what it shows, and hides in the lowest image.
4. The journal says that this is done.
5. The lowest image gets the mark of the point, as not complete: the same UUID, so that what lies on the point lies on it.
6. It is renamed over the point.
7. Its mark says that it is complete.
8. The others are removed, and their digests. The digests of the point are as they were, since it shows the same.
9. The journal is removed.

Killed in between, the next prune reads the journal and goes on: with step 2, or with step 5 if the journal says that the data
is there. Each of these steps can be done again. In the meantime the point, and what lies on it, can be restored and gone on
from; points/chain.py knows the journal.
"""
import asyncio
import json
import os
import time
from collections.abc import Sequence

from ..files import sync_directory, sync_file
from ..image_marks import give_mark, set_complete, set_incomplete
from ..images import read_image
from ..messages import Failure
from ..points.merge import Merge
from ..points.store import StoredImage, stored_image
from ..programs.qemu_img import run_qemu_img
from ..restore.in_use import is_locked
from .removing import remove_files

LOCK_WAIT = 5.0  # seconds for the qemu-img of a prune that has been killed to end


async def merge(plan: Merge) -> None:
    """Begins, or goes on with one that was cut off. Raises Failure or OSError; it can be tried again then."""
    if not plan.committed:
        await _check_unused(plan)
        plan.write()
        plan = await _commit(plan)
    _take_place(plan)
    for path in plan.gone:
        remove_files(path)
    os.unlink(plan.journal)
    sync_directory(os.path.dirname(plan.journal))


async def _check_unused(plan: Merge) -> None:
    """QEMU would notice, but then the images were no restore points any more."""
    until = time.monotonic() + LOCK_WAIT
    for path in (plan.into, *plan.gone):
        if not os.path.lexists(path):
            raise Failure(f"{path} is gone, which was being merged, or others into it: {_remedy(plan)}")
        while is_locked(path):
            if time.monotonic() > until:
                raise Failure(f"{path} is in use, by a restore or by another program")
            await asyncio.sleep(0.05)
    if stored_image(plan.into).uuid != plan.uuid:
        raise Failure(f"{plan.into} is not the image {plan.uuid}, into which others were being merged: {_remedy(plan)}")


def _remedy(plan: Merge) -> str:
    return f"put it back; or remove {plan.journal}, and the images that it names"


async def _commit(plan: Merge) -> Merge:
    for path in plan.gone:
        set_incomplete(path)
    await run_qemu_img("commit", "-q", "-d", "-f", "qcow2", "-b", plan.base, plan.into)
    sync_file(plan.base)
    size, expected = read_image(plan.base).size, read_image(plan.into).size
    if size != expected:
        raise Failure(f"{plan.base} has {size} bytes, and {plan.into}, which was merged into it, {expected}")
    done = Merge(plan.into, plan.uuid, plan.gone, committed=True)
    done.write()
    return done


def _take_place(plan: Merge) -> None:
    if os.path.lexists(plan.base):
        give_mark(plan.base, plan.into, plan.uuid)
        os.replace(plan.base, plan.into)
        sync_directory(os.path.dirname(plan.into))
    set_complete(plan.into, plan.uuid)


async def space_freed(into: StoredImage, gone: Sequence[StoredImage]) -> int:
    """About how much a merge frees, if the images are not compressed."""
    extents = json.loads(await run_qemu_img("map", "--output=json", "-f", "qcow2", into.path))
    data = sum(one["length"] for one in extents if one["data"] and one["depth"] <= len(gone))
    return max(0, sum(image.used for image in (into, *gone)) - data)
