# SPDX-License-Identifier: BSD-3-Clause
"""Which image the next run of a disk writes.

The state names the last image that was written, by its UUID, and the source shows what has changed since the state's
checkpoint. So there are three images that are right:
- a new one over that image, if it is complete as of that checkpoint;
- that image itself, if it is still FILE.partial: the run that wrote it was cut off. It gets the time of this run in its
  name, because what it will hold is the disk as of this run;
- a new one without a backing file, if the source shows the whole disk.
The apply filter refuses any other.

A run may be killed between any two steps. Nothing here changes an image. A file is renamed only while the state is locked,
by one rename(2); the state finds it again by its UUID. Until the apply filter has written its state, before the first
change of the new image, the state is that of the image before, and that one is as it was.
"""
import contextlib
import os
from dataclasses import dataclass

from ..composition.replication import Module
from ..files import make_directory, rename_new, resolved
from ..images import contradicts
from ..messages import RUN_AGAIN, Failure, about, warn
from ..plan.plan import Machine
from ..states import State, disks_with_state, held, read_state, require_full_copy, state_path
from .chain import LONGEST, Chain, chain_of
from .naming import PARTIAL, Naming
from .store import DIGESTS, Folder, StoredImage, stored_image
from .used import is_used, mark_used, unmark_used


@dataclass(frozen=True)
class PointTargets:
    """The targets of one run of a machine."""

    machine: Machine
    time: str  # {time} of the run

    def prepare(self) -> None:
        prepare(self.machine)

    def target(self, disk: str | None, full: bool) -> Module:
        return next_target(self.machine, disk or self.machine.single_disk, self.time, full)


def prepare(machine: Machine) -> None:
    """Before the source is started: where the next point of a disk cannot be an increment, its state says from now on that
    everything is owed, so that the source shows the whole disk. What is wrong otherwise next_target() finds as well."""
    make_directory(machine.states)
    for disk in disks_with_state(machine.states):
        if not machine.disks or disk in machine.disks:
            with contextlib.suppress(Failure, OSError):
                _prepare(machine, disk)


def next_target(machine: Machine, disk: str, time: str, full: bool) -> Module:
    """full: the source shows the whole disk. Raises Failure if another run uses the state."""
    path, state_file = Naming(machine.images).path(disk, time), _state_file(machine, disk)
    if not os.path.exists(state_file):
        make_directory(os.path.dirname(path))
        if not full:
            raise Failure(f"the source shows only what has changed, but there is no {state_file} of an earlier run: let the "
                          "source show the whole disk (without since= and delta-since=)")
        return _new_target(machine, path, None)
    with held(state_file):
        state = read_state(state_file)
        last = _last_image(machine, disk, state)
        _warn_of_clock(Naming(machine.images), last, time)
        if last is not None and last.top.is_partial and not _fault(last, state) and not (full and last.top.backing):
            return _going_on(machine, last.top, path)
        if full:
            make_directory(os.path.dirname(path))
            return _new_target(machine, path, None)
        why = _fault(last, state)
        if last is not None and not why:
            return _new_target(machine, path, last.top)
    require_full_copy(state_file)
    raise Failure(f"the source shows only what has changed, but {why}; the next run copies everything: {RUN_AGAIN}")


def last_target(machine: Machine, disk: str) -> Module:
    """The image of the last run, which owes nothing. Raises Failure if it cannot be used."""
    state_file = _state_file(machine, disk)
    with held(state_file):
        state = read_state(state_file)
        last = _last_image(machine, disk, state)
        why = "" if state.used else _fault(last, state)
        if last is None or why:
            raise Failure(why)
        return _target(machine, last.top.file, last.top.backing)


def _state_file(machine: Machine, disk: str) -> str:
    return resolved(state_path(machine.states, disk))


def _owes_everything(state: State) -> bool:
    return state.checkpoint == "" and state.owed >= state.size


def _prepare(machine: Machine, disk: str) -> None:
    path = _state_file(machine, disk)
    with held(path):
        state = read_state(path)
        last = _last_image(machine, disk, state)
    why = _fault(last, state) or _too_long(last, machine)
    if why and not _owes_everything(state):
        with about(disk=disk):
            warn(f"{why}; everything is copied")
        require_full_copy(path)


def _too_long(last: Chain | None, machine: Machine) -> str:
    longest = min(machine.longest_chain or LONGEST, LONGEST)
    if last is None or last.top.is_partial or len(last.images) < longest:
        return ""
    return f"{last.top.path} is the last of a chain of {len(last.images)} images (longest-chain is {longest})"


def _last_image(machine: Machine, disk: str, state: State) -> Chain | None:
    """The image that the state names, FILE or FILE.partial, and those below it; None if it is not there."""
    naming = Naming(machine.images)
    if state.image and not os.path.isdir(naming.folder(disk)):
        raise Failure(f"{naming.folder(disk)}, where the image of the last run is, is not there: mount its file system; or, if "
                      "the images are gone for good, create it, and everything is copied")
    found = [image for image in Folder.read(naming.folder(disk)).points()
             if state.image and image.uuid == state.image and _disk_of(naming, image) == disk]
    if len(found) > 1:
        raise Failure(f"{found[0].path} and {found[1].path} are copies of one image, and both have names of restore points: "
                      "move the one away that is not the image of the last run")
    return chain_of(_finished(found[0], state)) if found else None


def _finished(image: StoredImage, state: State) -> StoredImage:
    """A server may have been killed between the last two steps of its end: it has marked the image as complete, and not yet
    given it its name."""
    mark = image.mark
    done = mark is not None and mark.complete and image.image.clean and not state.owed and mark.is_of(state.checkpoint)
    if not image.is_partial or not done:
        return image
    path = image.path.removesuffix(PARTIAL)
    rename_new(image.path, path)
    return stored_image(path)


def _warn_of_clock(naming: Naming, last: Chain | None, time: str) -> None:
    """The order of restore points is that of their names. What is gone on with gets another name."""
    name = naming.parse(last.top.path) if last is not None and not last.top.is_partial else None
    if last is not None and name is not None and name.time > time:
        warn(f"{last.top.path} has a later time in its name than this run, {time}: the clock was wrong, or is now")


def _disk_of(naming: Naming, image: StoredImage) -> str | None:
    name = naming.parse(image.path)
    return name.disk if name else None


def _fault(chain: Chain | None, state: State) -> str:
    """Why the image is not what the state says of it, so that neither can it be gone on with, if it is FILE.partial, nor can
    another be made over it, if it is not. "": it is."""
    if chain is None:
        return "the image of the last run is not there" if state.image else "the state does not say which its image is"
    top, mark = chain.top, chain.top.mark
    if not top.is_partial and not (mark is not None and mark.complete and top.image.clean):
        return f"{top.path} is not complete"
    if mark is not None and contradicts(mark, state):
        return (f"{top.path} is complete as of {mark.checkpoint.decode(errors='replace')}, but the state says "
                f"{state.checkpoint}: one of them has been put back from an earlier time")
    return f"{top.path} cannot be used: {chain.fault}" if chain.fault else ""


def _going_on(machine: Machine, image: StoredImage, path: str) -> Module:
    if image.path != path + PARTIAL:
        _check_free(path)
        if is_used(image):
            mark_used(path)
        rename_new(image.path, path + PARTIAL)
        unmark_used(image.file)
    return _target(machine, path, image.backing)  # whose format is qcow2, as that of all that runs make


def _check_free(path: str) -> None:
    """Another point must not be written to."""
    for name in path, path + PARTIAL:
        if os.path.lexists(name):
            raise Failure(f"{name} exists already; {RUN_AGAIN}")


def _new_target(machine: Machine, path: str, base: StoredImage | None) -> Module:
    _check_free(path)
    return _target(machine, path, base.path if base else "")


def _target(machine: Machine, path: str, backing: str) -> Module:
    below = [f"backing={backing}", "backing-format=qcow2"] if backing else []
    digests = [f"apply-digests={path}{DIGESTS}"]
    if backing and os.path.exists(backing + DIGESTS):
        digests.append(f"apply-digests-parent={backing}{DIGESTS}")
    return Module(machine.target.plugin, (*machine.target.parameters, f"file={path}", *below, "seal=on", *digests))
