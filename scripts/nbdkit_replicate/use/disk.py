# SPDX-License-Identifier: BSD-3-Clause
"""One disk that is served: its server, and whether it is whole."""
import contextlib
import os
import socket
import stat

from ..composition.checks import check_disk
from ..composition.commands import Access, Circumstances, StatisticsFiles, use_command
from ..composition.replication import DiskCopy
from ..files import make_directory
from ..images import check_complete, is_qcow2
from ..messages import RUN_AGAIN, Failure, Level, about, mib, say
from ..points.used import mark_used, unmark_used
from ..programs.connections import Connections
from ..programs.directory import RunDirectory
from ..programs.server import Server
from ..programs.source import DiskFacts, ask_disk
from ..states import is_whole, read_state
from ..statistics import PullStatistics


class DiskUse:
    def __init__(self, disk: DiskCopy, access: Access, stats: StatisticsFiles, path: str) -> None:
        """path: of the socket; one that a killed server has left there is removed."""
        self.disk = disk
        self._access = access
        self._stats = stats
        self._path = path
        self.whole = is_whole(disk.state)
        self.server: Server | None = None
        self._served = False  # clients have been able to connect
        self._marked = False  # by this use: nobody had written before
        self.connections: Connections | None = None  # to the source; to be drained when the server has ended

    async def start(self, source: Server | None, directory: RunDirectory, password: str | None) -> None:
        """source: is needed unless the disk is whole. Raises Failure."""
        facts = None
        if not self.whole:
            assert source is not None
            facts = await ask_disk(source, self.disk.export)
            say(self._missing(facts))
        self._choose(facts)
        uri = source.uri(self.disk.export) if source and not self.whole else Server.uri_in(directory, "no-source.sock")
        now = Circumstances.of(self.disk, facts.size if facts else read_state(self.disk.state).size)
        if self.disk.also:
            make_directory(self.disk.fanout_state)
        _remove_unused(self._path)
        command = use_command(self.disk, uri, now, self._access, self._stats)
        self._marked = bool(self._image_to_mark()) and mark_used(self._image_to_mark())
        try:
            self.server = await Server.start("destination", command, directory, self._path, password)
            self.server.limit(self.disk.target.plugin, ends_soon=False)
            if source and not self.whole:
                self.connections = self.server.keep_connections((source.socket,))
            await self.server.wait_ready()
            self._served = True
        except (Failure, OSError):
            if self._marked and (self.server is None or await self.server.ended(0) is not None):  # nobody was served
                self._unmark(known=False)
            raise

    def _missing(self, facts: DiskFacts) -> str:
        if not self.disk.has_state():
            return f"{mib(facts.size)} are not here yet"
        state = read_state(self.disk.state)
        newer = ", and what has changed since" if state.checkpoint != facts.description.checkpoint and not state.used else ""
        return f"{mib(state.owed)} of {mib(state.size)} are not here yet{newer}"

    def _choose(self, facts: DiskFacts | None) -> None:
        """The target. full: nothing of what the target may hold is relied on."""
        full = facts is not None and (facts.full or not self.disk.has_state())
        self.disk = self.disk.with_chosen_target(full)
        check_disk(self.disk, full and self.disk.replication.targets is not None)
        if self.whole and self.disk.creates_image():
            raise Failure(f"{self.disk.state} owes nothing, but {self.disk.image} is not there")

    async def look(self) -> None:
        """Says when the disk has become whole. Raises Failure if its server has ended."""
        assert self.server is not None
        if await self.server.ended(0) is not None:
            why = self.server.cause() or "it gave no reason"
            raise Failure(self._about(f"the server has ended: {why}; {RUN_AGAIN}"))
        stats = PullStatistics.read(self._stats.pull)
        if not self.whole and stats is not None and stats.owed == 0:
            self.whole = True
            say(self._about("everything is here"))

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            if self._image_to_mark():
                self._unmark(known=self._served or not self._marked)  # not served: it was ended while it started

    def _unmark(self, known: bool) -> None:
        """If the state says that nobody has written. known: it has to say so; otherwise there may be none yet."""
        with contextlib.suppress(Failure):  # result() tells
            if not read_state(self.disk.state).used if self.disk.has_state() else not known:
                unmark_used(self._image_to_mark())

    def _image_to_mark(self) -> str:
        """That which clients may write to, and prune might remove; "": there is none."""
        is_point = self.disk.replication.targets is not None
        return (self.disk.image or "") if is_point and self._access == Access.WRITE else ""

    def result(self) -> bool:
        """After the end: says what the disk is. Returns whether it is whole."""
        if not os.path.exists(self.disk.state):
            return False
        state = read_state(self.disk.state)
        if state.owed:
            say(self._about(f"{mib(state.owed)} is still owed; {RUN_AGAIN}"), Level.ERROR)
            return False
        if state.used:
            say(self._about("whole, and changed by clients: it is no replica any more"))
            return True
        if is_qcow2(self.disk.target.plugin):
            try:
                check_complete(self.disk.target.parameters, state)
            except Failure as e:
                say(f"the copy is not complete: {e}; {RUN_AGAIN}", Level.ERROR)
                return False
        say(self._about("complete" + (f", as of {state.checkpoint}" if state.checkpoint else "")))
        return True

    def _about(self, text: str) -> str:
        """What is said of one of several disks begins with its name in any case."""
        return text if self.disk.name else f"{self.disk.state}: {text}"


def subject_of(use: DiskUse) -> contextlib.AbstractContextManager[None]:
    return about(disk=use.disk.name or "")


def _remove_unused(path: str) -> None:
    """Raises Failure if there is something else than a socket that nobody listens on."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise Failure(f"{path} exists, and is no socket")
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
                return
        raise Failure(f"{path}: another server listens there")
