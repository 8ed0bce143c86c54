# SPDX-License-Identifier: BSD-3-Clause
"""The run of one disk: its target server, nbdcopy, and the check of the result."""
import os

from ..messages import RUN_AGAIN, Failure, say
from ..parameters import value
from ..plan.checks import check_disk
from ..plan.commands import Circumstances, target_command
from ..plan.replication import DiskCopy
from ..programs.client import Client
from ..programs.process import outcome
from ..programs.server import Server
from ..programs.source import DiskFacts, ask_disk
from .context import RunContext
from .result import check_destinations, check_state

# What a disk may fail with while the others go on. All else is a bug.
EXPECTED = (Failure, OSError, ValueError)


class DiskRun:
    def __init__(self, disk: DiskCopy, number: int, context: RunContext) -> None:
        """number: of the disk in this run, for the names of its temporary files."""
        self._disk = disk
        self._context = context
        self._source_uri = context.source.uri(disk.export)
        self._socket = context.file(f"{number}.sock")
        self._stats = value(disk.target.parameters, "fanout-stats") or context.file(f"{number}.stats")

    async def run(self) -> bool:
        """Returns whether the copy is complete. What is not, and why, has been said."""
        try:
            await self._replicate()
        except EXPECTED as e:
            self._say(str(e))
            return False
        return True

    async def _replicate(self) -> None:
        with self._context.interruption.scope():
            check_disk(self._disk)  # only now is it known which disks without a state there are
            facts = await ask_disk(self._source_uri)
        self._say(facts.summary())
        if not await self._copy(facts):
            raise Failure(f"the copy is not complete; {RUN_AGAIN}")
        check_state(self._disk.state, facts)
        if self._disk.also:
            check_destinations(self._stats)

    async def _copy(self, facts: DiskFacts) -> bool:
        """Returns whether nbdcopy and the target have succeeded."""
        if self._disk.also:
            os.makedirs(self._disk.fanout_state, exist_ok=True)
        now = Circumstances.of(self._disk, facts.size)
        command = target_command(self._disk, self._source_uri, now, self._stats)
        target = await Server.start("destination", command, self._socket, self._context.target_password)
        copied = False
        with self._context.interruption.expendable(target):
            try:
                with self._context.interruption.scope():
                    await target.wait_ready()
                copied = await self._run_client(target)
            finally:
                # It completes what nbdcopy has left out, for as long as that takes.
                completed = await target.stop()
        return copied and completed

    async def _run_client(self, target: Server) -> bool:
        """Returns whether nbdcopy has succeeded. It has ended in any case, as the target must end after it."""
        client = await self._start_client(target)
        with self._context.interruption.expendable(client):
            try:
                with self._context.interruption.scope():
                    status = await client.wait()
            finally:
                await client.stop()
        if status != 0:
            self._say(f"nbdcopy ended with {outcome(status)}, see above")
        return status == 0

    async def _start_client(self, target: Server) -> Client:
        progress, replication = self._context.progress, self._disk.replication
        if progress is None or self._disk.name is None:
            return await Client.start(self._source_uri, target.uri(), bar=replication.progress)
        pipe = progress.open(self._disk.name)
        try:
            return await Client.start(self._source_uri, target.uri(), percent_to=pipe)
        finally:
            os.close(pipe)

    def _say(self, text: str) -> None:
        say(f"disk {self._disk.name}: {text}" if self._disk.name else text)
