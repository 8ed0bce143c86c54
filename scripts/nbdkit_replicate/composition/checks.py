# SPDX-License-Identifier: BSD-3-Clause
"""What is refused before anything is started, since it would go wrong without an error."""
import os
from collections.abc import Iterator

from ..contract import (DISK, PULL_OWN, destination_name, is_of_one_disk, is_plugin, known_destinations,
                        shows_password)
from ..images import other_state
from ..messages import WrongUse
from ..parameters import bare, has
from ..tls import Peer, peer_of_plugin, peer_of_uri
from .replication import DiskCopy, Replication


def check_replication(replication: Replication) -> None:
    """All that can be checked without the source's list of disks."""
    _check_passwords(replication)
    _check_client(replication)
    for peer in _peers(replication):
        peer.check()
    if replication.several:
        _check_names_of_several(replication)
    else:
        _check_names_of_one(replication)
    for name in replication.known_disks():
        check_disk(replication.disk(name))


def warnings(replication: Replication) -> list[str]:
    """What goes on with less safety, as the user has said."""
    return [warning for peer in _peers(replication) if (warning := peer.warning())]


def check_disk(disk: DiskCopy, full: bool = False) -> None:
    """full: the source is known to show the whole disk."""
    if not full:
        _check_image(disk)
    _check_own_state(disk)
    _check_left_out(disk)


def _peers(replication: Replication) -> Iterator[Peer]:
    """The NBD servers that are to be connected to by TLS."""
    uris = [("--also", destination.uri) for destination in replication.also]
    uris += [("--to fanout-dest", p.partition("=")[2]) for p in replication.target.parameters
             if p.startswith("fanout-dest=")]
    uris += [("--from nbd-uri", p.partition("=")[2]) for p in replication.source.parameters
             if p.startswith("nbd-uri=")]
    peers = [peer_of_uri(option, uri) for option, uri in uris]
    peers += [peer_of_plugin("--from", replication.source.plugin, replication.source.parameters),
              peer_of_plugin("--to", replication.target.plugin, replication.target.parameters)]
    yield from (peer for peer in peers if peer is not None)


def _check_passwords(replication: Replication) -> None:
    for parameter in (*replication.source.parameters, *replication.target.parameters):
        if shows_password(parameter):
            raise WrongUse("password: every user of this computer can read a password on the command line: "
                           "use password=+FILE, or password=- to be asked for it")


def _check_client(replication: Replication) -> None:
    given = [word for word in replication.target.parameters if word.startswith("pull-")]
    if given and not replication.pulls:
        raise WrongUse(f"{given[0]}: is for --client pull alone")
    for word in given:
        if word.partition("=")[0] in PULL_OWN:
            raise WrongUse(f"{word}: is given by the run itself, or means nothing in it: leave it out")
    if replication.pulls and is_plugin(replication.target.plugin, "file") and has(replication.target.parameters, "dir"):
        raise WrongUse("--client pull: the file plugin with dir= cannot be used with nbdkit-pull-filter(1): use file=")


def _check_names_of_one(replication: Replication) -> None:
    words = [*replication.target.parameters]
    for destination in replication.also:
        words += [destination.uri, *destination.parameters]
    if any(DISK in word for word in words):
        raise WrongUse(f"{DISK} can be used only if several disks are replicated: --state must be a directory then, "
                      f"such as {replication.state}.d/")


def _check_names_of_several(replication: Replication) -> None:
    """Each disk must have its own target, and its own of each file that a parameter names."""
    parameters = [*replication.target.parameters]
    options = [word for destination in replication.also for word in destination.parameters]
    own = [word for word in (*parameters, *options) if is_of_one_disk(word)]
    own += [word for word in parameters if bare(word)]
    own += [destination.uri for destination in replication.also]
    for word in own:
        if DISK not in word:
            raise WrongUse(f"{word}: several disks would use this one: put {DISK} into it, which stands for the name "
                           "of each disk")
    if replication.targets is None and not any(DISK in parameter for parameter in parameters):
        raise WrongUse(f"--to: several disks would be written to the same place: put {DISK}, which stands for the "
                      f"name of each disk, into a parameter, as in file=web1-{DISK}.qcow2")


def _check_image(disk: DiskCopy) -> None:
    """A new image without backing= would hold an increment and nothing that it is an increment of."""
    empty = disk.creates_image() and not disk.continues_image()
    if disk.has_state() and empty and not has(disk.target.parameters, "backing"):
        raise WrongUse(f"{disk.state} belongs to an earlier copy, but {disk.image} would be a new, empty image: "
                      f"add backing=FILE with the image of the last run, or remove {disk.state} for a full copy")


def _check_own_state(disk: DiskCopy) -> None:
    """Another state would say of the image that it is complete."""
    other = other_state(disk.target.plugin, disk.target.parameters, disk.state)
    if other is not None:
        raise WrongUse(f"{other}: {disk.state} says whether the image is complete: leave {other.partition('=')[0]}= out, "
                       "or give seal=on")


def _check_left_out(disk: DiskCopy) -> None:
    """A destination that is not named any more would silently miss what this run copies."""
    named = {destination_name(destination.uri, destination.parameters) for destination in disk.also}
    for directory in dict.fromkeys((disk.default_fanout_state, disk.fanout_state)):
        for path, name in known_destinations(directory) if os.path.isdir(directory) else ():
            if name not in named:
                raise WrongUse(f"{name} was a destination of an earlier run and would miss the changes of this one: name "
                               f"it with --also, also if it cannot be reached, or remove {path} to give it up; the whole "
                               "disk is copied to a destination that is added again later; if that file is of another disk, "
                               "each needs a fanout-state= of its own")
