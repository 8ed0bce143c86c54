# SPDX-License-Identifier: BSD-3-Clause
"""The run of one disk: its target server, the client, and the check of the result."""
import asyncio
import contextlib
import time
from collections.abc import Iterator

from ..contract import destination_name
from ..files import make_directory
from ..messages import RUN_AGAIN, Failure, Level, say
from ..composition.checks import check_disk
from ..composition.commands import Circumstances, StatisticsFiles, target_command
from ..composition.replication import DiskCopy
from ..programs.client import Client, Route
from ..programs.server import Server
from ..programs.source import DiskFacts, ask_disk
from ..report.events import Stage
from ..report.watch import Watch
from ..states import require_full_copy
from ..statistics import PullStatistics
from .context import RunContext
from .created_image import CreatedImage
from .growth import enlarge_file
from .result import Result, behind, check_copy, owed_by_destination
from .written_file import WrittenFile

SILENCE = 600.0  # seconds without anything new after which a source without deadlines is given up
POLL = 0.5  # seconds between two looks how far a target is that fetches for itself

# What a disk may fail with while the others go on. All else is a bug.
EXPECTED = (Failure, OSError, ValueError)


class DiskRun:
    def __init__(self, disk: DiskCopy, number: int, context: RunContext) -> None:
        """number: of the disk in this run, for the names of its temporary files."""
        self._disk = disk
        self._context = context
        self._source_uri = context.source.uri(disk.export)
        self._socket = f"{number}.sock"
        self._stats = StatisticsFiles.in_directory(disk, context.directory.file(f"{number}."))
        self._report = context.report.disk(disk.name)
        self._examined = 0.0  # seconds that the source took to tell its map

    async def run(self) -> Result:
        """What is not complete, and why, has been said when this returns."""
        with self._report.running():
            try:
                return await self._replicate()
            except EXPECTED as e:
                return self._failed(e)

    def leave(self, why: Failure) -> Result:
        """It is not begun."""
        with self._report.running():
            return self._failed(why)

    def _failed(self, why: BaseException) -> Result:
        self._report.ended(Result.INCOMPLETE.recorded, str(why))
        say(str(why), Level.ERROR)
        return Result.of_failure(why)

    async def _replicate(self) -> Result:
        with self._context.interruption.scope():
            self._report.stage(Stage.EXAMINING)
            check_disk(self._disk)  # only now is it known which disks without a state there are
            began = time.monotonic()
            facts = await ask_disk(self._context.source, self._disk.export)
            self._examined = time.monotonic() - began
        self._report.examined(facts)
        say(facts.summary())
        self._disk = self._disk.with_chosen_target(facts.full)
        check_disk(self._disk, facts.full and self._disk.replication.targets is not None)
        created = CreatedImage.of(self._disk)
        try:
            target = await self._copy(facts)
        except EXPECTED:
            created.remove_if_unused()
            raise
        complete = check_copy(self._disk, facts)
        owed = owed_by_destination(self._disk, self._stats.fanout) if self._disk.also else {}
        missing = behind(owed, target.reason_for_owing)
        result = Result.BEHIND if missing else Result.DONE
        self._report.ended(result.recorded, missing, {"": 0, **owed})
        say(complete)
        if missing:
            say(missing, Level.ERROR)
        return result

    async def _copy(self, facts: DiskFacts) -> Server:
        """Returns the target server, which has ended. Raises Failure if the client or the target have not succeeded."""
        if self._disk.also:
            make_directory(self._disk.fanout_state)
        enlarge_file(self._disk, facts.size)
        self._report.stage(Stage.COPYING)
        now = Circumstances.of(self._disk, facts.size)
        command = target_command(self._disk, self._source_uri, now, self._stats)
        target = await Server.start("destination", command, self._context.directory, self._socket,
                                    self._context.target_password)
        target.patience = self._context.source.patience
        target.limit(self._disk.target.plugin, ends_soon=False)
        connections = target.keep_connections((self._context.source.socket,))
        with self._context.interruption.expendable(target), self._report.watching(self._disk.image or "", self._stats) as watch:
            written: WrittenFile | None = None
            replaced = False
            try:
                with self._context.interruption.scope():
                    await target.wait_ready()
                written = WrittenFile.of(self._disk)
                with self._silence_ended(watch):
                    cause = await (self._pulled(target) if self._disk.replication.pulls else self._run_client(target))
            finally:
                # It completes what the client has left out, for as long as that takes.
                try:
                    completed = await target.stop()
                finally:
                    self._context.drain(connections)  # or the source would wait for what nobody receives
                replaced = written is not None and written.is_replaced()
                if replaced:
                    require_full_copy(self._disk.state)
        if replaced:
            cause = f"{self._disk.image} was moved, removed or replaced during the run; the next one copies everything"
        if cause is None and not completed:
            cause = self._cause_at(target) or "the destination did not end in order"
        if cause is not None:
            raise Failure(f"the copy is not complete: {cause}; {RUN_AGAIN}")
        return target

    @contextlib.contextmanager
    def _silence_ended(self, watch: Watch) -> Iterator[None]:
        """A block in which a source that has no deadlines is given up when nothing has arrived for too long: clients may ask for
        its map first, once or twice, as has been done before."""
        source = self._context.source
        limit = SILENCE + source.patience + 2 * self._examined
        watch.ready()

        async def look() -> None:
            while watch.silent < limit:
                await asyncio.sleep(max(POLL, (limit - watch.silent) / 2))
            source.give_up(f"nothing has arrived for {limit:.0f} seconds: the source or the destination does not answer")

        task = None if source.end_limit is None else asyncio.create_task(look())
        try:
            yield
        finally:
            if task:
                task.cancel()

    async def _pulled(self, target: Server) -> str | None:
        """The target fetches for itself, and ends. Returns why it has failed; None if it has not."""
        copied = False
        with self._context.interruption.scope():
            while await target.ended(POLL) is None:
                if not copied and self._owed_by_pull() == 0:
                    copied = True
                    self._report.stage(Stage.COMPLETING)
        self._report.stage(Stage.COMPLETING)
        if self._owed_by_pull() == 0:
            return None
        return self._cause_at(target) or self._context.source.cause() or "the destination has ended before it had everything"

    def _owed_by_pull(self) -> int | None:
        """None: that is not known."""
        stats = PullStatistics.read(self._stats.pull)
        return stats.owed if stats else None

    async def _run_client(self, target: Server) -> str | None:
        """Returns why the client has failed; None if it has not. It has ended in any case, as the target must end
        after it."""
        client = await Client.start(self._disk.replication.client, Route(self._context.source, self._disk.export, target))
        succeeded = False
        with self._context.interruption.expendable(client):
            try:
                with self._context.interruption.scope():
                    succeeded = await client.wait() == 0
            finally:
                try:
                    self._report.stage(Stage.COMPLETING)
                finally:
                    connections = await client.stop()
                    if succeeded:
                        connections.close()
                    else:
                        self._context.drain(connections)
        if succeeded:
            return None
        return self._cause_at(target) or self._context.source.cause() or await client.cause()

    def _cause_at(self, target: Server) -> str:
        """With the file that is written, which not every plugin says, unless it is about a further destination."""
        if self._context.source.given_up:
            return self._context.source.cause()
        cause, image = target.cause(), self._disk.image
        known = [destination_name(destination.uri, destination.parameters) for destination in self._disk.also]
        if not cause or image is None or any(name in cause for name in (image, *known)):
            return cause
        return f"{cause} ({image})"
