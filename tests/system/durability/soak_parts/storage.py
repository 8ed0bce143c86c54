# SPDX-License-Identifier: BSD-3-Clause
"""Directories that may be full, and whose files may lose what was not synced. See the folder storage_faults."""

import glob
import os
import shutil

LIBRARY = os.path.join(os.environ["BUILD"], "tests/system/durability/storage_faults.so")
SECTOR = 4096


class Storage:
    def __init__(self, name):
        self.path = os.path.abspath(name)
        self.copies = self.path + ".synced"
        self.full = self.path + ".full"
        os.makedirs(self.path)
        os.makedirs(self.copies)

    def file(self, name):
        return os.path.join(self.path, name)

    def environment(self):
        """For programs that write files here."""
        return {"LD_PRELOAD": LIBRARY, "STORAGE_OF": self.path, "STORAGE_SYNCED": self.copies,
                "STORAGE_FULL": self.full}

    def fill(self, full):
        """full: whether writes fail from now on."""
        if full:
            open(self.full, "wb").close()
        elif os.path.exists(self.full):
            os.unlink(self.full)

    def all_synced(self):
        """To be called while nobody writes: what is there now, stays there."""
        for copy in glob.glob(f"{self.copies}/*"):
            os.unlink(copy)
        for path in self._files():
            shutil.copyfile(path, self._copy_of(path))

    def clear(self):
        for path in self._files():
            os.unlink(path)
        self.all_synced()

    def lose(self, rng):
        """Power loss; nobody writes any more. Of what was not synced, a random part is there."""
        chance = rng.choice((0, 0, 0.5, 0.9))
        for path in self._files():
            copy = self._copy_of(path)
            with open(path, "rb") as file:
                now = file.read()
            content = bytearray()
            if os.path.exists(copy):
                with open(copy, "rb") as file:
                    content += file.read()
            for at in range(0, len(now), SECTOR):
                sector = now[at:at + SECTOR]
                if content[at:at + SECTOR] != sector and rng.random() < chance:
                    content.extend(bytes(max(0, at + len(sector) - len(content))))
                    content[at:at + len(sector)] = sector
            with open(path, "r+b") as file:
                file.truncate(0)
                file.write(content)
        self.all_synced()

    def _files(self):
        return [path for path in glob.glob(f"{self.path}/*") if os.path.isfile(path)]

    def _copy_of(self, path):
        return os.path.join(self.copies, str(os.stat(path).st_ino))
