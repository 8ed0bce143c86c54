# SPDX-License-Identifier: BSD-3-Clause
"""All faults by name."""

from soak_parts import faults, swaps

# name -> (what makes it, how often it is drawn)
ALL = {
    "nothing": (faults.Nothing, 1),
    "snapshot-removed": (faults.SnapshotRemoved, 3),
    "kill-command": (lambda: faults.Killed("command"), 2),
    "kill-source": (lambda: faults.Killed("source"), 2),
    "kill-destination": (lambda: faults.Killed("destination"), 2),
    "kill-nbdcopy": (lambda: faults.Killed("nbdcopy"), 2),
    "terminate": (faults.Terminated, 2),
    "power-loss": (faults.PowerLoss, 3),
    "image-full": (lambda: faults.ImageFull(leaves_dirty=True), 2),
    "image-full-closed": (lambda: faults.ImageFull(leaves_dirty=False), 1),
    "dr-away": (faults.DrAway, 2),
    "dr-full": (faults.DrFull, 2),
    "dr-power-loss": (faults.DrPowerLoss, 2),
    "image-older": (lambda: swaps.ImageSwapped(older=True, midway=False), 1),
    "image-other": (lambda: swaps.ImageSwapped(older=False, midway=False), 1),
    "image-older-midway": (lambda: swaps.ImageSwapped(older=True, midway=True), 1),
    "image-other-midway": (lambda: swaps.ImageSwapped(older=False, midway=True), 1),
    "dr-older": (lambda: swaps.DrSwapped(older=True), 1),
    "dr-emptied": (lambda: swaps.DrSwapped(older=False), 1),
}

class Choice:
    """names: a list with commas, or "" for all."""

    def __init__(self, names):
        self._names = names.split(",") if names else list(ALL)
        unknown = [name for name in self._names if name not in ALL]
        if unknown:
            raise SystemExit(f"SOAK_FAULTS: there is no {', '.join(unknown)}; there are {', '.join(ALL)}")

    def draw(self, rng):
        """(name, fault)"""
        name = rng.choices(self._names, [ALL[name][1] for name in self._names])[0]
        return name, ALL[name][0]()
