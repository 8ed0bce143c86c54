# SPDX-License-Identifier: BSD-3-Clause
"""Faults by which a destination is not the one that was meant. All blocks of the wrong one are wrong, as what looks at
some of them cannot find what the others are."""

import os
import shutil
import subprocess

from soak_parts import moments
from soak_parts.faults import Fault
from soak_parts.guest import SIZE
from soak_parts.violation import BLOCK


class ImageSwapped(Fault):
    """The image gives way to another file, before the run or in its middle. A run may repair that, or refuse: then
    somebody puts the right image back."""

    def __init__(self, older, midway):
        self.older, self.midway = older, midway
        self.wrong = self.right = None  # files

    def moment(self, rng, expected):
        """After a part of them."""
        return moments.by_amount(rng, expected * 3 // 4) if self.midway else None

    def prepare(self, site, rng):
        site.complete()
        self.wrong = site.image_file + ".wrong"
        if self.older:
            shutil.copyfile(site.image_file, self.wrong)
        else:
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.wrong, str(SIZE)], check=True)
        site.guest.rewrite(rng)
        site.complete()
        # Where a run may look to know the image again.
        site.guest.write(rng, BLOCK, SIZE - BLOCK)
        if not self.midway:
            self.swap(site)

    def strike(self, site, run, rng):
        """While bytes are still to come: what happens after the last look of a run it cannot know."""
        if not run.copies():
            return False
        with run.stopped():
            if not run.copies() or not os.path.exists(site.image_file):
                return False
            self.swap(site)
            return True

    def swap(self, site):
        self.right = site.image_file + ".right"
        os.rename(site.image_file, self.right)
        os.rename(self.wrong, site.image_file)

    def refused(self, site):
        if self.right is None:
            super().refused(site)
        os.replace(self.right, site.image_file)

    def end(self, site):
        for path in filter(None, (self.wrong, self.right)):
            if os.path.exists(path):
                os.unlink(path)


class DrSwapped(Fault):
    """Between two runs the disk of the DR server gives way to an empty or an older one."""

    def __init__(self, older):
        self.older = older

    def moment(self, rng, expected):
        return None

    def prepare(self, site, rng):
        site.complete()
        before = site.dr.content()
        site.guest.rewrite(rng)
        site.complete()
        site.guest.write(rng, BLOCK, SIZE - BLOCK)
        site.dr.stop()
        site.dr.empty()
        if self.older:
            with open(site.dr.file, "r+b") as file:
                file.write(before)
        site.dr.start()
