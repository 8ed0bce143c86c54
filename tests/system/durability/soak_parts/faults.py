# SPDX-License-Identifier: BSD-3-Clause
"""What happens to a run in its middle. A new fault is a subclass of Fault, and a line of ALL in catalogue.py."""

from soak_parts import moments
from soak_parts.violation import Violation



class Fault:
    """A thing that goes wrong. site: see site.py (Site); run: see run.py."""

    leaves_snapshot = False  # until the next run: what would have removed it was killed
    leaves_directory = False  # the same for the temporary directory
    leaves_dirty = False  # an image that is complete but not closed, and that says so

    def moment(self, rng, expected):
        return moments.draw(rng, expected)

    def prepare(self, site, rng):
        """Before the run, while everything is well."""

    def strike(self, site, run, rng):
        """At the moment. Returns whether it has happened: if not, it is tried again, until the run has ended."""
        return True

    def repair(self, site):
        """After the run: somebody sees to what has happened."""

    def refused(self, site):
        """The same command does not help, nor does it promise to: somebody does what its message asks for."""
        raise Violation(f"the same command is not complete after so many runs: exit statuses {site.outcomes}")

    def end(self, site):
        """Of the round: removes what it kept."""


class Nothing(Fault):
    pass


class SnapshotRemoved(Fault):
    """"Delete all snapshots". The guest goes on; another product may take a snapshot of its own."""

    def strike(self, site, run, rng):
        if not site.vcenter.counters().own:
            return False
        site.vcenter.remove_all_snapshots()
        rng.choice((site.guest.write, site.guest.rewrite))(rng)
        if rng.random() < 0.5:
            site.vcenter.snapshot_of_other_product()
        return True

    def repair(self, site):
        site.vcenter.remove_all_snapshots()


class Killed(Fault):
    def __init__(self, role):
        self.role = role
        self.leaves_snapshot = role == "source"
        self.leaves_directory = role == "command"

    def strike(self, site, run, rng):
        return run.kill(self.role)


class Terminated(Fault):
    def strike(self, site, run, rng):
        run.terminate()
        return True


class PowerLoss(Fault):
    """Of the host with the image, where the command runs as well."""

    leaves_snapshot = leaves_directory = True

    def moment(self, rng, expected):
        return moments.draw_late(rng, expected)

    def strike(self, site, run, rng):
        run.kill_all()
        site.image.lose(rng)
        return True


class ImageFull(Fault):
    """There may be room again before the run has ended. If it is full only when the image is closed, all data is there,
    but not all of what counts its clusters."""

    def __init__(self, leaves_dirty):
        self.leaves_dirty = leaves_dirty

    def strike(self, site, run, rng):
        site.image.fill(True)
        if rng.random() < 0.2:
            site.image.fill(False)
        return True

    def repair(self, site):
        site.image.fill(False)


class DrFault(Fault):
    """The DR server may be well again before the run has ended."""

    def strike(self, site, run, rng):
        self.hit(site, rng)
        if rng.random() < 0.4:
            self.repair(site)
        return True

    def hit(self, site, rng):
        raise NotImplementedError

    def repair(self, site):
        site.dr.storage.fill(False)
        site.dr.start()


class DrAway(DrFault):
    def hit(self, site, rng):
        site.dr.stop()


class DrFull(DrFault):
    def hit(self, site, rng):
        site.dr.storage.fill(True)


class DrPowerLoss(DrFault):
    def moment(self, rng, expected):
        return moments.draw_late(rng, expected)

    def hit(self, site, rng):
        site.dr.stop()
        site.dr.storage.lose(rng)
